/// Operations over whole tensors as calls of a GPU's kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/backend/composed.h"
#include "g4/backend/concept.h"
#include "g4/backend/gpu_calls.h"
#include "g4/backend/gpu_device.h"
#include "g4/core/result.h"
#include "g4/tensor/let_go.h"
#include "g4/tensor/prepared.h"

namespace g4::backend {

/// A weight in panels, in the device's memory.
struct gpu_panels final : prepared_weight {
  static constexpr weight_layout own_layout{"gpu panels"};
  explicit gpu_panels(const std::byte* at) : prepared_weight(own_layout), panels(at) {}
  const std::byte* panels;
};

/// Weights beside each other in a few blocks of the device's memory.
struct gpu_weights {
  static constexpr std::size_t block = std::size_t{1} << 22;
  std::vector<gpu_memory> blocks;
  std::size_t used = 0;  ///< of the last block
  std::deque<gpu_panels> in_panels;
};

/// A model's operations on a `Device` (`cuda::device`): memory, ways across, and `run` for every call of `gpu_calls.h`.
///
/// The host reads and writes no number between `put` and `host`, so nothing waits for the device in between. In `exact`
/// all is computed in float32, weights as they are stored. In `fast` products multiply half floats and add in float32,
/// where the weight's storage has a form in panels; the file's order is kept beside it. A cache that is asked for in
/// half floats has attention of half floats then. One object serves one thread at a time; results are the same bits in every run, and
/// for a row however many rows there are, but for the last ones where a GPU multiplies more than `rows_alike()` in `fast`
/// (compute capability 9.0) and was not told to `keep_rows_alike`.
template <class Device>
class gpu {
 public:
  using scalar = float;
  using options = gpu_options;
  using owned_memory = gpu_memory;
  using weight_store = gpu_weights;
  static constexpr bool prepares_tables = true;  ///< nothing can be read from the file's own pages

  explicit gpu(Device device, const gpu_options& choice = {})
      : on_(std::move(device)), mode_(choice.mode), records_(choice.record && !choice.check_each) {}

  [[nodiscard]] numeric mode() const { return mode_; }

  [[nodiscard]] Device& device() { return on_; }
  /// What went wrong since the backend was opened, first; it waits for all that was asked for.
  [[nodiscard]] result<void> failure() {
    if (!failed_.message.empty()) return unexpected(failed_);
    return on_.failure();
  }

  // ---- Memory and weights --------------------------------------------------------------------------------------------

  [[nodiscard]] result<gpu_memory> take(std::size_t bytes) {
    if (bytes > static_cast<std::size_t>(-1) / 2) return fail("there is no memory for ", bytes, " bytes");
    return on_.take(std::max<std::size_t>(bytes, 1));
  }
  template <class T>
  void put(const T* from, std::size_t n, T* to) {
    if (n != 0) on_.put(from, n * sizeof(T), to);
  }
  template <class T>
  [[nodiscard]] const T* host(const T* p, std::size_t n, T* room) {
    if (n != 0) on_.get(p, n * sizeof(T), room);
    return room;
  }
  template <class T>
  void copy(const T* x, std::size_t n, T* y) {
    if (n != 0 && x != y) on_.copy(x, n * sizeof(T), y);
  }

  /// The same bytes on the device, and in panels where the mode wants them; the file's may go.
  [[nodiscard]] result<weight_view> prepare(const matrix_view& w, gpu_weights& store, let_go told = {},
                                            weight_use = weight_use::layer) {
    const std::size_t bytes = w.rows * w.stride();
    auto to = place(store, bytes);
    if (!to) return unexpected(std::move(to.error()));
    put(w.data, bytes, *to);
    told({w.data, bytes});
    weight_view made{matrix_view{*to, w.rows, w.columns, w.type}};
    if (const std::size_t in_panels = mode_ == numeric::exact ? 0 : gpu_calls::panel_bytes(w); in_panels != 0) {
      auto panels = place(store, in_panels);
      if (!panels) return unexpected(std::move(panels.error()));
      on_.run(gpu_calls::to_panels{gpu_calls::stored(made), *panels});
      made.prepared = &store.in_panels.emplace_back(*panels);
    }
    return made;
  }

  /// The most rows of a pass of which each has the bits that it has alone: one less than warpgroups multiply as a prompt.
  [[nodiscard]] std::size_t rows_alike() const {
    const bool has_prompts = mode_ != numeric::exact && !kept_alike_ && on_.has_wgmma();
    return has_prompts ? gpu_calls::to_cores::tokens_of_tile - 1 : std::numeric_limits<std::size_t>::max();
  }
  /// From now on a row's bits do not depend on how many share its pass, also where a prompt's products would round otherwise.
  bool keep_rows_alike(bool alike) { return std::exchange(kept_alike_, alike); }

  // ---- Steps that are recorded -----------------------------------------------------------------------------------------

  using recording = gpu_recording;
  /// The most rows of a pass that is worth recording; 0: none is.
  [[nodiscard]] std::size_t recorded_rows() const { return records_ ? 8 : 0; }
  /// What `body` asks for, which is not done: neither `put` nor `host` may be among it, and it has run before, so that all
  /// memory it needs is there. What differs from one replay to the next lies in the device's memory.
  template <class Body>
  [[nodiscard]] gpu_recording record(Body&& body) {
    on_.begin_recording();
    body();
    return on_.end_recording();
  }
  void replay(const gpu_recording& steps) { on_.run(steps); }

  // ---- Steps that the host does not wait for ---------------------------------------------------------------------------

  using mailbox = gpu_mailbox;
  /// One step is being run, one is asked for behind it, and the host has the time of both to see what was chosen before.
  static constexpr std::size_t most_ahead = 2;
  [[nodiscard]] result<gpu_mailbox> mailbox_of(std::size_t slots) { return on_.mailbox(slots); }
  void send(const gpu_mailbox& box, std::size_t slot, const token_id* from) { on_.send(box, slot, from); }
  [[nodiscard]] result<token_id> receive(const gpu_mailbox& box, std::size_t slot) {
    if (!failed_.message.empty()) return unexpected(failed_);
    return on_.receive(box, slot);
  }
  /// As `ops::next_row`.
  void next_row(const next_row_call<float>& call) {
    const std::size_t blocks = (call.vocab + 2047) / 2048;
    auto* const arrived = room_of_noughts<std::uint64_t>(next_room_, blocks + 1);
    if (arrived == nullptr) return;
    on_.run(gpu_calls::next_row{call, arrived + 1, reinterpret_cast<unsigned*>(arrived)});
  }

  // ---- Rows ----------------------------------------------------------------------------------------------------------

  void fill(float* y, std::size_t n, float value) { numbers(gpu_calls::fill{n, y, value}); }
  void scale(float* x, std::size_t n, float factor) { numbers(gpu_calls::scale{n, x, factor}); }
  void scale_by(float* x, std::size_t n, const float* factor) { numbers(gpu_calls::scale_by{n, x, factor}); }
  void divide(float* x, std::size_t n, float divisor) { numbers(gpu_calls::divide{n, x, divisor}); }
  void scale_columns(const float* x, const float* scale, std::size_t rows, std::size_t width, float* y) {
    numbers(gpu_calls::scale_columns{rows * width, x, scale, width, y});
  }
  void add(const float* x, std::size_t n, float* y) { numbers(gpu_calls::add{n, x, y}); }
  void add_three(const float* a, const float* b, const float* c, std::size_t n, float factor, float* y) {
    numbers(gpu_calls::add_three{n, a, b, c, factor, y});
  }
  void add_bias(float* y, const float* bias, std::size_t rows, std::size_t width) {
    numbers(gpu_calls::add_bias{rows * width, y, bias, width});
  }
  void tanh(float* x, std::size_t n) { numbers(gpu_calls::tanh{n, x}); }
  void soft_cap(float* x, std::size_t n, float cap) { numbers(gpu_calls::soft_cap{n, x, cap}); }
  void gelu_gate(float* gate, const float* up, std::size_t n) { numbers(gpu_calls::gelu_gate{n, gate, up}); }
  template <class Activation>
  void gate(Activation, float*, const float*, std::size_t) {
    static_assert(!std::is_same_v<Activation, Activation>,
                  "g4: a GPU has a kernel for gelu_tanh alone; a model with another activation runs on the cpu and "
                  "reference backends.");
  }
  void sparsify(float* x, std::size_t rows, std::size_t width, float z) {
    each_row(gpu_calls::sparsify{rows, x, width, z});
  }
  void embed(const matrix_view& table, const token_id* ids, std::size_t rows, float scale, float* y) {
    numbers(gpu_calls::embed{rows * table.columns, gpu_calls::stored(table), ids, scale, y});
  }
  void mix_embedded(const matrix_view& table, const token_id* ids, std::size_t rows, float scale, float factor, float*,
                    float* y) {
    numbers(gpu_calls::mix_embedded{rows * table.columns, gpu_calls::stored(table), ids, scale, factor, y});
  }
  void route(float* logits, std::size_t rows, std::size_t experts, std::size_t k, const float* expert_scale,
             std::int32_t* choice, float* weight) {
    each_row(gpu_calls::route{rows, logits, experts, k, expert_scale, choice, weight});
  }
  void mean_rows(const float* x, std::size_t rows, std::size_t width, float* y) {
    numbers(gpu_calls::mean_rows{width, x, rows, y});
  }
  void unit(const float* x, std::size_t width, float* y) { each_row(gpu_calls::unit{1, x, width, y}); }
  void best(const float* x, std::size_t n, token_id* index) { on_.run(gpu_calls::best{x, n, nullptr, index, nullptr}); }

  static constexpr std::size_t most_greatest = 1024;
  /// The k greatest of x [n], 1 ≤ k ≤ `most_greatest` and k ≤ n, the greatest first, the smaller index of equals: to the host.
  void greatest(const float* x, std::size_t n, std::size_t k, token_id* ids, float* values) {
    const std::size_t blocks = (n + 2047) / 2048;
    auto* const found = room<std::uint64_t>(greatest_room_, (blocks + 1) * k);
    if (found == nullptr) return;
    auto* const best_ids = reinterpret_cast<token_id*>(found + blocks * k);
    auto* const best_values = reinterpret_cast<float*>(best_ids + k);
    on_.run(gpu_calls::greatest_of_each{x, n, k, found});
    on_.run(gpu_calls::greatest{found, blocks * k, k, best_ids, best_values});
    on_.get(best_ids, k * sizeof(token_id), ids);
    on_.get(best_values, k * sizeof(float), values);
  }

  // ---- Products and norms --------------------------------------------------------------------------------------------

  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y) {
    const gpu_panels* const of = prepared_as<gpu_panels>(w);
    if (of == nullptr) return exact_matmul(w, x, tokens, y);
    if (is_prompt(tokens)) return prompt_product(w, of->panels, in_cores(w, x, tokens), tokens, y);
    if (tokens != 0)
      on_.run(gpu_calls::panel_product{w.type, w.columns, x, tokens, false, 1, {{of->panels, w.rows, y}}});
  }
  /// A weight and where its product goes.
  struct projection {
    weight_view w;
    float* y;
  };
  /// y_i = x · w_iᵀ: neighbours of one storage in one call.
  void matmuls(std::span<const projection> several, const float* x, std::size_t tokens) {
    if (is_prompt(tokens)) return prompt_products(several, x, tokens);
    for (std::size_t i = 0; i < several.size() && tokens != 0;) {
      gpu_calls::panel_product call{several[i].w.type, several[i].w.columns, x, tokens, false, 0, {}};
      const std::size_t first = i;
      for (; i < several.size() && call.count < gpu_calls::panel_product::most_parts; ++i) {
        const weight_view& w = several[i].w;
        const gpu_panels* const of = prepared_as<gpu_panels>(w);
        if (of == nullptr || w.type != call.type) break;
        call.parts[call.count++] = {of->panels, w.rows, several[i].y};
      }
      if (i == first) {
        matmul(several[i].w, x, tokens, several[i].y);
        ++i;
      } else {
        on_.run(call);
      }
    }
  }
  /// gate = gelu_tanh(w_gate · x) ∘ (w_up · x), in one call where both lie in panels of one storage.
  void gated_product(const weight_view& w_gate, const weight_view& w_up, const float* x, std::size_t tokens,
                     float* gate, float* up) {
    const gpu_panels *const a = prepared_as<gpu_panels>(w_gate), *const b = prepared_as<gpu_panels>(w_up);
    if (a == nullptr || b == nullptr || w_gate.type != w_up.type) {
      return composed::gated_product(*this, w_gate, w_up, x, tokens, gate, up);
    }
    if (is_prompt(tokens)) {
      const projection both[] = {{w_gate, gate}, {w_up, up}};
      prompt_products(both, x, tokens);
      return gelu_gate(gate, up, tokens * w_gate.rows);
    }
    if (tokens == 0) return;
    on_.run(gpu_calls::panel_product{
        w_gate.type, w_gate.columns, x, tokens, true, 2, {{a->panels, w_gate.rows, gate}, {b->panels, w_up.rows, up}}});
  }
  void exact_matmul(const matrix_view& w, const float* x, std::size_t tokens, float* y) {
    if (tokens != 0) on_.run(gpu_calls::product{gpu_calls::stored(w), x, tokens, y});
  }
  void rms_norm(const float* x, const float* scale, std::size_t tokens, std::size_t width, float eps, float* y) {
    each_row(gpu_calls::rms_norm{tokens, x, scale, width, eps, y});
  }
  void add_norm(float* x, float* delta, const float* scale, std::size_t tokens, std::size_t width, float eps) {
    each_row(gpu_calls::add_norm{tokens, x, delta, scale, width, eps});
  }
  void close_and_open(float* x, float* delta, const float* closing, const float* opening, std::size_t rows,
                      std::size_t width, float eps, float* y) {
    each_row(gpu_calls::close_and_open{rows, x, delta, closing, opening, width, eps, y});
  }
  void layer_norm(const float* x, const float* weight, const float* bias, std::size_t rows, std::size_t width,
                  float eps, float* y) {
    each_row(gpu_calls::layer_norm{rows, x, weight, bias, width, eps, y});
  }

  // ---- Attention -----------------------------------------------------------------------------------------------------

  void begin(const begin_call<float>& call) {
    numbers(gpu_calls::begin_ids{call.count, call.rows, call.ids, call.looked_up});
    for (std::size_t m = 0; m < call.mask_count; ++m) {
      numbers(gpu_calls::visible{call.count, call.rows, call.masks[m], call.keys + m * call.stride});
    }
    for (std::size_t r = 0; r < call.table_count; ++r) {
      const angle_table<float>& table = call.tables[r];
      numbers(gpu_calls::turn_angles{call.count * table.half, call.rows, table.frequencies, table.half,
                                     call.first_position, table.cos, table.sin});
    }
  }
  void rope(float* x, std::size_t tokens, std::size_t heads, std::size_t d, const float* cos, const float* sin) {
    numbers(gpu_calls::rope{tokens * heads * (d / 2), x, heads, d, cos, sin});
  }
  void rope_2d(float* x, std::size_t rows, std::size_t heads, std::size_t d, const float* cos, const float* sin) {
    numbers(gpu_calls::rope_2d{rows * heads * 2 * (d / 4), x, heads, d, cos, sin});
  }
  [[nodiscard]] storage cache_storage() const { return storage::f32; }
  [[nodiscard]] bool caches(storage type) const {
    return type == storage::f32 || type == storage::f16 || type == storage::q8_0;
  }
  /// As `composed::turn_heads`, in one call for rows of one text.
  void turn_heads(const heads_call<float>& call) {
    if (call.key != nullptr && call.texts != 1) return composed::turn_heads(*this, call);
    gpu_calls::turn_heads one{0, call, {}};
    one.call.heads = call.query != nullptr ? call.heads : 0;
    one.call.key_heads = call.key != nullptr ? call.key_heads : 0;
    one.rows = call.rows * (one.call.heads + one.call.key_heads);
    if (call.key != nullptr) {
      one.into = rows_of(cached_rows<float>{call.caches, call.layer, call.begun, call.rows, nullptr, nullptr, 1}, 0);
    }
    one.call.caches = nullptr;  // the host's
    each_row(one);
  }
  void store(const cached_rows<float>& call) {
    for (std::size_t text = 0; text < call.texts; ++text) {
      const gpu_calls::text_rows into = rows_of(call, text);
      const std::size_t blocks = (into.cache.head_size + 31) / 32;
      numbers(gpu_calls::store{call.count * into.cache.heads * blocks, into, call.keys, call.values});
    }
  }
  void attend(const row_attention<float>& call) {
    if (call.of.tokens == 0) return;
    for (std::size_t text = 0; text < call.texts; ++text) {
      const gpu_calls::text_rows of = rows_of(call, text);
      if (mode_ != numeric::exact && of.cache.type == storage::f16 && of.cache.head_size % 4 == 0) {
        attend_halves(of, call.of);
      } else {
        on_.run(gpu_calls::attend{of, call.of});
      }
    }
  }

  // ---- Streams -------------------------------------------------------------------------------------------------------

  void altup_predict(const float* h, const float* coefficients, std::size_t streams, std::size_t rows,
                     std::size_t width, float* predicted) {
    numbers(gpu_calls::altup_predict{streams * rows * width, h, coefficients, streams, rows, width, predicted});
  }
  void altup_correct(const float* predicted, const float* y, const float* coefficients, std::size_t streams,
                     std::size_t active, std::size_t rows, std::size_t width, float* h) {
    numbers(gpu_calls::altup_correct{rows * width, predicted, y, coefficients, streams, active, rows, width, h});
  }
  void match_magnitude(const float* model, std::size_t rows, std::size_t width, float* x) {
    each_row(gpu_calls::match_magnitude{rows, model, width, x});
  }

  // ---- What towers use -----------------------------------------------------------------------------------------------

  void centre(float* x, std::size_t n) { numbers(gpu_calls::centre{n, x}); }
  void gelu(float* x, std::size_t n) { numbers(gpu_calls::gelu{n, x}); }
  void clamp(const float* x, std::size_t n, const float* low, const float* high, float* y) {
    numbers(gpu_calls::clamp{n, x, low, high, y});
  }
  void standardise(float* y, const float* bias, const float* scale, std::size_t rows, std::size_t width) {
    numbers(gpu_calls::standardise{rows * width, y, bias, scale, width});
  }
  void mean_groups(const float* x, const token_id* of, std::size_t groups, std::size_t size, std::size_t width,
                   float* y) {
    numbers(gpu_calls::mean_groups{groups * width, x, of, size, width, y});
  }
  void keep_within(const float* x, std::size_t n, float least, float most, float* y) {
    numbers(gpu_calls::keep_within{n, x, least, most, y});
  }
  void silu(float* x, std::size_t n) { numbers(gpu_calls::silu{n, x}); }
  void relu(float* x, std::size_t n) { numbers(gpu_calls::relu{n, x}); }
  void glu(const float* x, std::size_t rows, std::size_t width, float* y) {
    numbers(gpu_calls::glu{rows * width, x, width, y});
  }
  void unfold(const float* x, const ops::squares& plane, std::size_t first, std::size_t rows, float* y) {
    numbers(gpu_calls::unfold{rows * plane.columns() * plane.numbers(), x, plane, first, y});
  }
  void unfold(const float* x, const ops::plane& plane, std::size_t first, std::size_t rows, float* y) {
    numbers(gpu_calls::unfold_plane{rows * plane.columns() * plane.numbers(), x, plane, first, y});
  }
  void depthwise(const float* x, const float* kernel, const ops::plane& plane, float* y) {
    numbers(gpu_calls::depthwise{plane.rows() * plane.columns() * plane.channels, x, kernel, plane, y});
  }
  void lay_beside(const float* x, const token_id* of, std::size_t rows, std::size_t width, std::size_t stride,
                  float* y) {
    numbers(gpu_calls::lay_beside{rows * width, x, of, width, stride, y});
  }
  void cumulative_norm(const float* x, const ops::cumulative_norm& norm, std::size_t rows, float* y) {
    auto* const mean = room<double>(norm_room_, 2 * rows);
    if (mean == nullptr || rows == 0) return;
    double* const variance = mean + rows;
    const std::size_t width = norm.width();
    each_row(gpu_calls::cumulated_sums{rows, x, width, nullptr, mean});
    numbers(gpu_calls::running_mean{1, mean, rows, width});
    each_row(gpu_calls::cumulated_sums{rows, x, width, mean, variance});
    numbers(gpu_calls::running_mean{1, variance, rows, width});
    numbers(gpu_calls::scale_cumulated{rows * width, x, mean, variance, norm, y});
  }
  void convolve_back(const float* x, const float* kernel, std::size_t rows, std::size_t width, std::size_t side,
                     float* y) {
    numbers(gpu_calls::convolve_back{rows * width, x, kernel, width, side, y});
  }
  void attend_near(const ops::near_attention<float>& call) {
    if (call.rows != 0) on_.run(gpu_calls::attend_near{call});
  }

  // ---- Larger operations, whose numbers decide what comes next: `backend/composed.h` defines them ----------------------

  /// Every row's j-th expert at the same time, j by j: sums are in the order of the router's choice.
  template <class GateUp, class Down, class Gate>
  void experts(const GateUp& gate_up, const Down& down, Gate gate, const experts_call<float>& call) {
    const std::size_t hidden = call.hidden, width = call.width, k = call.chosen, n = call.experts;
    experts_.resize(2 * n);
    for (std::size_t e = 0; e < n; ++e) {
      experts_[e] = gpu_calls::stored(gate_up[e]);
      experts_[n + e] = gpu_calls::stored(down[e]);
    }
    const auto* const table = table_of_experts();
    fill(call.y, call.rows * width, 0.0f);
    if (table == nullptr || call.rows == 0) return;
    for (std::size_t j = 0; j < k; ++j) {
      const std::int32_t* const choice = call.choice + j;
      each_row(gpu_calls::expert_product{call.rows * hidden, table, choice, k, 0, hidden, call.z, call.gate});
      each_row(gpu_calls::expert_product{call.rows * hidden, table, choice, k, hidden, hidden, call.z, call.both});
      gate(*this, call.gate, call.both, call.rows * hidden);
      each_row(gpu_calls::expert_product{call.rows * width, table + n, choice, k, 0, width, call.gate, call.out});
      numbers(gpu_calls::add_weighted{call.rows * width, call.out, call.weight + j, k, width, call.y});
    }
  }

  template <class Table>
  void best_of_clusters(const Table& table, const clusters_call<float>& call) {
    const std::size_t per_cluster = call.vocab / call.clusters, scored = call.chosen * per_cluster;
    auto* const score = room<float>(cluster_room_, 2 * scored + 1);
    if (score == nullptr) return;
    auto* const ids = reinterpret_cast<token_id*>(score + scored);
    float* const least = score + 2 * scored;
    each_row(gpu_calls::best_clusters{1, call.scores, call.clusters, call.chosen, call.choice});
    if (call.logits != nullptr) fill(call.logits, call.vocab, -std::numeric_limits<float>::infinity());
    each_row(gpu_calls::cluster_scores{scored, gpu_calls::stored(table), call.h, call.ordering, call.choice,
                                       per_cluster, score, ids, call.logits});
    on_.run(gpu_calls::best{score, scored, ids, call.best, least});
    if (call.logits != nullptr) numbers(gpu_calls::unscored{call.vocab, call.logits, least});
  }

 private:
  /// Room for a weight, aligned to 64.
  [[nodiscard]] result<std::byte*> place(gpu_weights& store, std::size_t bytes) {
    if (store.blocks.empty() || store.used > store.blocks.back().size() ||
        bytes > store.blocks.back().size() - store.used) {
      auto taken = take(std::max(bytes, gpu_weights::block));
      if (!taken) return unexpected(std::move(taken.error()));
      store.blocks.push_back(std::move(*taken));
      store.used = 0;
    }
    std::byte* const at = store.blocks.back().data() + store.used;
    store.used += (bytes + 63) / 64 * 64;
    return at;
  }

  template <class Call>
  void numbers(const Call& call) {
    if (call.count != 0) on_.run(call);
  }
  template <class Call>
  void each_row(const Call& call) {
    if (call.rows != 0) on_.run(call);
  }
  template <class Call>
  [[nodiscard]] static gpu_calls::text_rows rows_of(const Call& call, std::size_t text) {
    const cache_view& cache = call.caches[text][call.layer];
    return {cache, cached_row_bytes(cache.type, cache.head_size), call.rows, static_cast<std::int32_t>(text)};
  }

  /// `experts_` in the device's memory, where they stay: a layer puts its own there once.
  [[nodiscard]] const gpu_calls::stored_matrix* table_of_experts() {
    for (const expert_table& one : expert_tables_) {
      if (one.of == experts_) return reinterpret_cast<const gpu_calls::stored_matrix*>(one.memory.data());
    }
    gpu_memory memory;
    auto* const table = room<gpu_calls::stored_matrix>(memory, experts_.size());
    if (table == nullptr) return nullptr;
    put(experts_.data(), experts_.size(), table);
    expert_tables_.push_back({experts_, std::move(memory)});
    return table;
  }

  [[nodiscard]] bool is_prompt(std::size_t tokens) const { return tokens > rows_alike(); }
  struct activations {
    const std::byte* cores = nullptr;
    const float* unscale = nullptr;
    std::size_t chunk = 0;
  };
  /// x in tiles, as the products of a weight of this storage take it; null where there is no memory.
  [[nodiscard]] activations in_cores(const matrix_view& w, const float* x, std::size_t tokens) {
    gpu_calls::to_cores call{x, w.columns, tokens, gpu_calls::panel_chunk(w.type), nullptr, nullptr};
    const std::size_t unscales = call.tiles() * call.chunks() * call.tokens_of_tile;
    auto* const room_of_both = room<std::byte>(core_room_, call.core_bytes() + unscales * sizeof(float));
    if (room_of_both == nullptr) return {};
    call.cores = room_of_both;
    call.unscale = reinterpret_cast<float*>(room_of_both + call.core_bytes());
    on_.run(call);
    return {call.cores, call.unscale, call.chunk};
  }
  void prompt_product(const matrix_view& w, const std::byte* panels, const activations& x, std::size_t tokens, float* y) {
    if (x.cores == nullptr) return;
    on_.run(gpu_calls::prompt_product{w.type, w.columns, x.cores, x.unscale, tokens, panels, w.rows, y});
  }
  /// Weights whose activations have powers of two for the same columns share them.
  void prompt_products(std::span<const projection> several, const float* x, std::size_t tokens) {
    activations shared;
    for (const projection& one : several) {
      const gpu_panels* const of = prepared_as<gpu_panels>(one.w);
      if (of == nullptr) {
        exact_matmul(one.w, x, tokens, one.y);
        continue;
      }
      if (shared.chunk != gpu_calls::panel_chunk(one.w.type)) shared = in_cores(one.w, x, tokens);
      prompt_product(one.w, of->panels, shared, tokens, one.y);
    }
  }

  /// A tile is 16 rows of queries that share a key head; `kernels/cuda/attend_halves.cu`.
  void attend_halves(const gpu_calls::text_rows& of, const attention_call<float>& call) {
    constexpr std::size_t tile = 16, stretch = 256, few = 8;
    const std::size_t K = of.cache.heads, tiles = (call.tokens * (call.heads / K) + tile - 1) / tile;
    gpu_calls::attend_halves one{of, call, call.tokens <= few, of.cache.slots / stretch + 2, nullptr, nullptr};
    if (one.at_once) {
      one.parts = room<float>(part_room_, tiles * K * one.splits * tile * (of.cache.head_size + 2));
      one.arrived = room_of_noughts<unsigned>(arrived_room_, tiles * K);
      if (one.parts == nullptr || one.arrived == nullptr) return;
    }
    on_.run(one);
  }

  /// Memory of the backend's own for n Ts, which grows with the largest call; null where there is none. What was there before
  /// is kept, for recordings that know it.
  template <class T>
  [[nodiscard]] T* room(gpu_memory& memory, std::size_t n) {
    if (memory.size() < n * sizeof(T)) {
      auto taken = take(std::max(n * sizeof(T), 2 * memory.size()));
      if (!taken) {
        if (failed_.message.empty()) failed_ = std::move(taken.error());
        return nullptr;
      }
      if (memory.size() != 0) outgrown_.push_back(std::move(memory));
      memory = std::move(*taken);
    }
    return reinterpret_cast<T*>(memory.data());
  }
  /// The same, all noughts when it is taken: for what kernels count in and leave as they found it.
  template <class T>
  [[nodiscard]] T* room_of_noughts(gpu_memory& memory, std::size_t n) {
    const std::size_t before = memory.size();
    T* const taken = room<T>(memory, n);
    if (taken != nullptr && memory.size() != before) fill(reinterpret_cast<float*>(taken), memory.size() / sizeof(float), 0.0f);
    return taken;
  }

  Device on_;
  numeric mode_;
  bool records_;
  bool kept_alike_ = false;
  gpu_memory cluster_room_, norm_room_, part_room_, arrived_room_, core_room_, greatest_room_, next_room_;
  std::vector<gpu_memory> outgrown_;
  struct expert_table {
    std::vector<gpu_calls::stored_matrix> of;
    gpu_memory memory;
  };
  std::vector<gpu_calls::stored_matrix> experts_;
  std::vector<expert_table> expert_tables_;
  error failed_;
};

}  // namespace g4::backend
