/// What the cpu and inline backends share: how an operation is cut into tasks, and the working memory of each worker.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/calls.h"
#include "g4/backend/concept.h"
#include "g4/backend/pack.h"
#include "g4/backend/packed.h"
#include "g4/backend/pool.h"
#include "g4/backend/rank.h"
#include "g4/backend/reference.h"
#include "g4/backend/working_memory.h"
#include "g4/core/result.h"

namespace g4::backend {

/// How exactly a backend computes.
enum class numeric {
  exact,  ///< weights as stored, float32 activations and sums: ordinary float32 rounding against `reference<double>`
  fast,   ///< weights repacked (`prepare`), activations rounded to 14 bits per block of 32 before each product
  fast8,  ///< as `fast`, but of 16 tokens and more at once to 8 bits: a prompt is read faster, with another engine's error
};

/// When a weight moves into the kernels' own order.
enum class packing {
  in_use,   ///< from its second use on, some of it with each: the first token comes soonest
  at_load,  ///< at once (a head, whose first use says how it is kept, with that): every token takes as long as the next
};

/// One of several products of the same input: y [T, w.rows] = x · wᵀ.
struct projection {
  weight_view w;
  float* y = nullptr;
};

struct simd_options {
  numeric mode = numeric::exact;
  g4::pool* pool = nullptr;  ///< the host's; null runs everything on the calling thread
  packing pack = packing::in_use;
};

/// Operations over `Kernels` (see `cpu::kernels`). Operations it does not have come from `reference<float>`.
///
/// One object serves one thread at a time. Working memory grows with the largest call seen, so after the first tokens
/// nothing is allocated. Results do not depend on the pool.
template <class Kernels>
class simd : public reference<float> {
 public:
  using options = simd_options;
  using projection = backend::projection;
  using weight_store = packed_store;

  simd() = default;
  explicit simd(options choice) : mode_(choice.mode), pack_(choice.pack), pool_(choice.pool) {}

  [[nodiscard]] numeric mode() const { return mode_; }
  [[nodiscard]] std::size_t workers() const { return pool_ == nullptr ? 1 : pool_->workers(); }

  /// The weight as a model holds it: `w`, and that on its way into the kernels' own order, in memory of `store`. `w`
  /// outlives the store. Plain floats, and every weight in `exact` mode, stay as they are.
  ///
  /// told   told(bytes) is called with stretches of `w` that have moved, from the thread that uses the weight
  /// use    what the weight is for
  [[nodiscard]] result<weight_view> prepare(const matrix_view& w, packed_store& store, let_go told = {},
                                            weight_use use = weight_use::layer) {
    if (mode_ == numeric::exact || !cpu::packs(w.type) || w.rows == 0) return w;
    cpu::packed_weight* weight = store.add(w, use, told);
    if (weight == nullptr) return fail("packed weights: no memory for ", cpu::packed_room(w, use), " bytes");
    if (pack_ == packing::at_load && !weight->may_be_ranked) move_panels(*weight, weight->count());
    return weight_view{w, weight};
  }

  void embed(const weight_view& table, std::size_t id, float scale, float* y) {
    const cpu::packed_weight* weight = packed(table);
    if (weight != nullptr && weight->has(id / cpu::panel_rows)) {
      const std::size_t columns = facts_of(table.type).block_elements;
      std::byte block[256];
      for (std::size_t b = 0; b < table.columns / columns; ++b) {
        cpu::unpack_block(*weight, id, b, block);
        Kernels::unpack(table.type, block, columns, y + b * columns);
      }
    } else {
      Kernels::unpack(table.type, table.row(id), table.columns, y);
    }
    for (std::size_t i = 0; i < table.columns; ++i) y[i] *= scale;
  }

  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y) {
    const projection one{w, y};
    matmuls({&one, 1}, x, tokens);
  }

  /// Several products of one input, which is read (and rounded, in `fast` mode) once; one fork and join for all.
  void matmuls(std::span<const projection> products, const float* x, std::size_t tokens) {
    if (products.empty() || tokens == 0) return;
    const std::size_t columns = products.front().w.columns;
    bool rounded = false;
    bool bytes = false;
    for (const projection& p : products) {
      bytes = bytes || takes_bytes(p.w, tokens);
      rounded = rounded || (takes_rounded(p.w, tokens) && !takes_bytes(p.w, tokens));
    }
    const cpu::activations levels = rounded ? round(x, columns, tokens) : cpu::activations{};
    const cpu::byte_activations byte_levels = bytes ? round_to_bytes(x, columns, tokens) : cpu::byte_activations{};
    for (const projection& p : products) {
      if (cpu::packed_weight* const weight = packed(p.w)) move_some(*weight);
    }

    // Work is counted in panels of sixteen rows, whatever a product's storage.
    std::size_t panels = 0;
    std::size_t stride = 64;
    for (const projection& p : products) {
      panels += ceil_div(p.w.rows, cpu::panel_rows);
      stride = std::max(stride, scratch_bytes(p.w, tokens));
    }
    stride = ceil_div(stride, 64) * 64;
    std::byte* scratch = scratch_.take<std::byte>(stride * workers());
    const std::size_t piece = split(panels, cpu::panel_rows * columns * tokens, 2);
    run(panels, piece, [&](std::size_t first, std::size_t count, std::size_t worker) {
      std::size_t begin = 0;  // first panel of the product
      for (const projection& p : products) {
        const std::size_t end = begin + ceil_div(p.w.rows, cpu::panel_rows);
        const std::size_t from = std::max(first, begin);
        const std::size_t to = std::min(first + count, end);
        if (from < to) {
          panels_of(p, x, levels, byte_levels, tokens, from - begin, to - from, scratch + worker * stride);
        }
        begin = end;
      }
    });
  }

  /// The products of one token of which the k greatest are wanted: those are right; any other row may hold −∞ instead.
  /// Not all of a head in Q8_0 is read for that, once it has moved: a head of which the greatest products are wanted
  /// before any of it has moved is kept by nibbles. The same bits as `matmul`, and the same rows, whatever the pool.
  ///
  /// cap     of the soft cap that the products go through later, whose rounding must not bring in another row; 0 is none
  /// guess   rows that may be among the greatest, better the more of them are; the k greatest afterwards, or nothing
  void best_products(const weight_view& w, const float* x, std::size_t k, float cap, float* y,
                     std::vector<std::int32_t>& guess) {
    cpu::packed_weight* const weight = packed(w);
    if (weight == nullptr || !weight->may_be_ranked || k == 0 || k > cpu::best_rows::most) return matmul(w, x, 1, y);
    if (!weight->settled()) {
      if (!weight->has(0)) keep_by_nibbles(*weight, x);
      return matmul(w, x, 1, y);
    }
    if (weight->order != cpu::panel_order::nibbles) return matmul(w, x, 1, y);
    const cpu::activations levels = round(x, w.columns, 1);
    const std::size_t plan_bytes = ceil_div(cpu::rank_plan::bytes(w.columns), 64) * 64;
    const std::size_t stride = ceil_div(cpu::rank_scratch(w.columns) + sizeof(cpu::best_rows), 64) * 64;
    std::byte* const memory = scratch_.take<std::byte>(plan_bytes + stride * workers());
    cpu::rank_plan plan;
    plan.make(levels.levels, levels.step, w.columns, weight->groups.data(), memory);
    const auto best_of = [&](std::size_t worker) {
      return reinterpret_cast<cpu::best_rows*>(memory + plan_bytes + worker * stride);
    };
    const auto rank = [&](std::size_t first, std::size_t count, std::size_t worker) {
      std::byte* const mine = memory + plan_bytes + worker * stride;
      Kernels::rank({weight->panels, w.rows, w.columns, levels, &plan, unasked_, y, first, count, best_of(worker),
                     mine + ceil_div(sizeof(cpu::best_rows), 64) * 64});
    };

    // Rows that were among the greatest for the last token make a floor to begin with.
    constexpr float lowest = -std::numeric_limits<float>::infinity();
    cpu::best_rows& first_best = *new (best_of(0)) cpu::best_rows;
    first_best.begin(k, cap, lowest);
    for (std::int32_t& row : guess) row /= static_cast<std::int32_t>(cpu::panel_rows);
    std::sort(guess.begin(), guess.end());
    guess.erase(std::unique(guess.begin(), guess.end()), guess.end());
    for (const std::int32_t panel : guess) {
      if (static_cast<std::size_t>(panel) < weight->count()) rank(static_cast<std::size_t>(panel), 1, 0);
    }
    const float floor = first_best.floor;
    for (std::size_t worker = 0; worker < workers(); ++worker) {
      (new (best_of(worker)) cpu::best_rows)->begin(k, cap, floor);
    }
    const std::size_t batch = cpu::rank_batch(w.columns);
    const std::size_t panels = weight->count();
    run(panels, split(panels, cpu::panel_rows * w.columns, batch), rank);

    // Every worker knows its own greatest; all together know the k greatest.
    cpu::best_rows all;
    all.begin(k, cap, lowest);
    for (std::size_t worker = 0; worker < workers(); ++worker) {
      const cpu::best_rows& some = *best_of(worker);
      for (std::size_t i = 0; i < some.count; ++i) all.add(some.entries[i].value, some.entries[i].row);
      all.checked += some.checked;
      all.kept += some.kept;
    }
    // A check costs as much as reading two stages' nibbles in passing: it is worth making where most panels are given up.
    if (2 * all.kept > all.checked && unasked_ < cpu::rank_plan::stages - 1) ++unasked_;
    if (8 * all.kept < all.checked && unasked_ > 0) --unasked_;
    guess.clear();
    for (std::size_t i = 0; i < all.count; ++i) guess.push_back(all.entries[i].row);
    // What was finished and is not among them depends on who came first.
    run(w.rows, split(w.rows, 1, 64), [&](std::size_t first, std::size_t count, std::size_t) {
      for (std::size_t r = first; r < first + count; ++r) y[r] = y[r] < all.floor ? lowest : y[r];
    });
  }

  void rms_norm(const float* x, const float* scale, std::size_t tokens, std::size_t width, float eps, float* y) {
    normalise({x, scale, y, tokens, width, eps, false});
  }
  void add_norm(float* x, float* delta, const float* scale, std::size_t tokens, std::size_t width, float eps) {
    normalise({delta, scale, x, tokens, width, eps, true});
  }

  void rope(float* x, std::size_t tokens, std::size_t heads, std::size_t d, const float* cos, const float* sin) {
    run(tokens, split(tokens, 2 * heads * d, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      Kernels::rope({x + first * heads * d, count, heads, d, cos + first * (d / 2), sin + first * (d / 2)});
    });
  }

  /// What keys and values are kept as unless a session says otherwise.
  [[nodiscard]] storage cache_storage() const { return mode_ == numeric::exact ? storage::f32 : storage::i16; }

  [[nodiscard]] bool caches(storage type) const { return type == storage::i16 || reference<float>::caches(type); }

  void store(const cache_view& cache, const float* keys, const float* values, std::size_t tokens, position at) {
    const std::size_t width = cache.heads * cache.head_size;
    run(tokens, split(tokens, 4 * width, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      if (cache.type == storage::i16) {
        Kernels::store({&cache, keys, values, first, count, at});
      } else {
        reference<float>::store(cache, keys + first * width, values + first * width, count,
                                at + static_cast<std::int64_t>(first));
      }
    });
  }

  void attend(const cache_view& cache, const attention_call<float>& call) {
    const std::size_t group = call.heads / cache.heads;  // query heads that read one key/value head
    const std::size_t part = std::min(group, cpu::attend_queries);
    const std::size_t parts = ceil_div(group, part);
    const std::size_t tile = std::max<std::size_t>(1, cpu::attend_queries / part);
    const std::size_t tiles = ceil_div(call.tokens, tile);
    const std::size_t tasks = cache.heads * parts * tiles;
    const auto task_of = [&](std::size_t task, float* scratch) {
      const std::size_t token = task / (cache.heads * parts) * tile;
      const std::size_t head = task / parts % cache.heads;
      const std::size_t first = task % parts * part;
      return cpu::attend_call{&cache,
                              &call,
                              head,
                              head * group + first,
                              std::min(part, group - first),
                              token,
                              std::min(tile, call.tokens - token),
                              scratch};
    };
    const std::size_t d = cache.head_size;
    const std::size_t stride = cpu::attend_scratch(d);
    const std::size_t part_floats = cpu::attend_queries * cpu::attend_part_floats(d);
    const auto seen = blocks_of(call);
    const std::int64_t block = seen.first;
    const std::size_t blocks = seen.second;
    if (workers() == 1 || tasks >= 2 * workers() || blocks < 2) {
      float* scratch = scratch_.take<float>(stride * workers());
      run(tasks, 1, [&](std::size_t task, std::size_t, std::size_t worker) {
        Kernels::attend(task_of(task, scratch + worker * stride));
      });
      return;
    }
    // Too few tasks for the workers: each block of keys becomes one. Room for all blocks of the cache is taken at once.
    const std::size_t most = std::max(blocks, cache.slots / cpu::attend_keys + 2);
    float* scratch = scratch_.take<float>(stride * workers() + tasks * most * part_floats);
    float* results = scratch + stride * workers();
    run(tasks * blocks, 1, [&](std::size_t item, std::size_t, std::size_t worker) {
      cpu::attend_call piece = task_of(item / blocks, scratch + worker * stride);
      const std::size_t queries = piece.count * piece.group;
      const std::size_t b = item % blocks;
      piece.block = block + static_cast<std::int64_t>(b);
      piece.part = results + item / blocks * most * part_floats + b * queries * cpu::attend_part_floats(d);
      Kernels::attend(piece);
    });
    for (std::size_t task = 0; task < tasks; ++task) {
      const cpu::attend_call whole = task_of(task, scratch);
      for (std::size_t t = 0; t < whole.count; ++t) {
        const float* from = results + task * most * part_floats + t * whole.group * cpu::attend_part_floats(d);
        Kernels::join_attention({cache.type, from, blocks, whole.count * whole.group, whole.group, d,
                                 call.out + ((whole.token + t) * call.heads + whole.head) * d, scratch});
      }
    }
  }

  void gelu_gate(float* gate, const float* up, std::size_t n) {
    run(n, split(n, 8, 64), [&](std::size_t first, std::size_t count, std::size_t) {
      Kernels::gelu_gate(gate + first, up + first, count);
    });
  }
  void soft_cap(float* x, std::size_t n, float cap) {
    run(n, split(n, 8, 64),
        [&](std::size_t first, std::size_t count, std::size_t) { Kernels::soft_cap(x + first, count, cap); });
  }

 protected:
  [[nodiscard]] static constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

  /// Items per task, in multiples of `unit`: all of them for short work, otherwise four tasks per worker or more.
  ///
  /// `cost` is the work of one item in multiplications. Waking a worker is worth about 32768 of them. Two million take some
  /// 50 µs, which is long beside handing a task out, and short beside waiting for one that began last, or for a worker that
  /// was taken off its CPU.
  [[nodiscard]] std::size_t split(std::size_t items, std::size_t cost, std::size_t unit) const {
    if (workers() == 1 || items * cost < 65536) return items;
    const std::size_t least = ceil_div(32768, cost);
    const std::size_t enough = ceil_div(std::size_t{1} << 21, cost);
    const std::size_t share = std::min(ceil_div(items, 4 * workers()), enough);
    return ceil_div(std::max(least, share), unit) * unit;
  }

  /// body(first, count, worker) over [0, items) in pieces of `piece`.
  template <class Body>
  void run(std::size_t items, std::size_t piece, Body&& body) {
    if (items == 0) return;
    const std::size_t tasks = ceil_div(items, piece);
    const auto task = [&](std::size_t t, std::size_t worker) {
      const std::size_t first = t * piece;
      body(first, std::min(piece, items - first), worker);
    };
    if (pool_ == nullptr || tasks == 1) {
      for (std::size_t t = 0; t < tasks; ++t) task(t, 0);
    } else {
      pool_->run(tasks, task);
    }
  }

  /// The blocks of keys that some query of the call sees: the first and how many.
  [[nodiscard]] static std::pair<std::int64_t, std::size_t> blocks_of(const attention_call<float>& call) {
    std::int64_t first = INT64_MAX;
    std::int64_t last = 0;
    for (std::size_t t = 0; t < call.tokens; ++t) {
      if (index_of(call.keys[t].first) >= index_of(call.keys[t].last)) continue;
      first = std::min(first, index_of(call.keys[t].first));
      last = std::max(last, index_of(call.keys[t].last));
    }
    if (first >= last) return {0, 0};
    constexpr auto size = static_cast<std::int64_t>(cpu::attend_keys);
    return {first / size, static_cast<std::size_t>((last - 1) / size - first / size + 1)};
  }

  void normalise(const cpu::norm_call& call) {
    run(call.tokens, split(call.tokens, 2 * call.width, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      cpu::norm_call part = call;
      part.x += first * call.width;
      part.y += first * call.width;
      part.tokens = count;
      Kernels::rms_norm(part);
    });
  }

  /// The weight in the kernels' order; null where it was not prepared, or in another backend's layout, or where this
  /// backend multiplies with weights as stored.
  [[nodiscard]] cpu::packed_weight* packed(const weight_view& w) const {
    return mode_ == numeric::exact ? nullptr : prepared_as<cpu::packed_weight>(w);
  }

  /// Whether a product goes through 16-bit activations: packed weights always, plain floats for many tokens only (for
  /// few, reading the weights costs more than multiplying them).
  [[nodiscard]] bool takes_rounded(const weight_view& w, std::size_t tokens) const {
    return packed(w) != nullptr ||
           (mode_ != numeric::exact && tokens >= 16 && facts_of(w.type).block_elements == 1 && w.type != storage::f64);
  }

  /// Whether a product goes through 8-bit activations. Few tokens, the guesses of a drafter among them, stay with 16.
  [[nodiscard]] bool takes_bytes(const weight_view& w, std::size_t tokens) const {
    return mode_ == numeric::fast8 && tokens >= 16 && packed(w) != nullptr;
  }

  template <class Level>
  [[nodiscard]] cpu::rounded_activations<Level> round_into(working_memory& room, const float* x, std::size_t columns,
                                                           std::size_t tokens,
                                                           void (*quantise)(const cpu::rounding_call<Level>&)) {
    const std::size_t blocks = ceil_div(columns, 32);
    const std::size_t level_bytes = ceil_div(tokens * blocks * 32 * sizeof(Level), 64) * 64;
    const std::size_t step_bytes = ceil_div(tokens * blocks * 4, 64) * 64;
    std::byte* memory = room.take<std::byte>(level_bytes + 4 * step_bytes);
    const auto floats_at = [&](std::size_t n) {
      return reinterpret_cast<float*>(memory + level_bytes + n * step_bytes);
    };
    const cpu::rounded_activations<Level> out{reinterpret_cast<Level*>(memory), floats_at(0),
                                              reinterpret_cast<std::int32_t*>(floats_at(1)), floats_at(3), blocks};
    run(tokens, split(tokens, 2 * columns, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      quantise({x, columns, first, count, out});
    });
    return out;
  }
  [[nodiscard]] cpu::activations round(const float* x, std::size_t columns, std::size_t tokens) {
    return round_into<std::int16_t>(levels_, x, columns, tokens, Kernels::quantise);
  }
  [[nodiscard]] cpu::byte_activations round_to_bytes(const float* x, std::size_t columns, std::size_t tokens) {
    return round_into<std::int8_t>(byte_levels_, x, columns, tokens, Kernels::quantise_bytes);
  }

  /// Panels that are packed together into working memory while a weight has not moved: two are a tile of the kernel's.
  [[nodiscard]] static std::size_t panels_at_once(const matrix_view& stored) {
    return std::max<std::size_t>(
        2, (std::size_t{32} << 10) / cpu::packed_panel_bytes(stored.type, stored.columns) / 2 * 2);
  }

  /// Bytes one worker needs for its panels of a product.
  [[nodiscard]] std::size_t scratch_bytes(const weight_view& w, std::size_t tokens) const {
    if (!takes_rounded(w, tokens)) return sizeof(float) * cpu::matmul_scratch(w);
    const cpu::packed_weight* const weight = packed(w);
    if (weight == nullptr) return cpu::packed_scratch;
    if (weight->settled() && weight->order == cpu::panel_order::words) return cpu::packed_scratch;
    return cpu::packed_scratch + panels_at_once(w) * cpu::packed_panel_bytes(w.type, w.columns);
  }

  /// A head of which nothing has moved will be kept by nibbles, in the order of this token's energies.
  static void keep_by_nibbles(cpu::packed_weight& weight, const float* x) {
    if (weight.moving.exchange(true, std::memory_order_acquire)) return;  // another session decides
    if (!weight.has(0) && weight.order != cpu::panel_order::nibbles) {
      weight.order = cpu::panel_order::nibbles;
      cpu::order_by_energy(x, weight.groups);
    }
    weight.moving.store(false, std::memory_order_release);
  }

  /// Panels [moved, moved + count) of a weight go where they belong. The caller alone moves this weight.
  void move_panels(cpu::packed_weight& weight, std::size_t count) {
    const matrix_view& w = weight.stored;
    const std::size_t panel_bytes = weight.panel_bytes();
    // Nibbles are split from a panel of words.
    const std::size_t words =
        weight.order == cpu::panel_order::nibbles ? cpu::packed_panel_bytes(w.type, w.columns) : 0;
    std::byte* const scratch = pack_scratch_.take<std::byte>(words * workers());
    constexpr std::size_t stretch = std::size_t{8} << 20;  // large enough to share among workers, small next to a model
    const std::size_t step = std::max<std::size_t>(1, stretch / panel_bytes);
    std::size_t begin = weight.moved.load(std::memory_order_relaxed);
    for (const std::size_t end = begin + count; begin < end;) {
      const std::size_t n = std::min(step, end - begin);
      run(n, split(n, cpu::panel_rows * w.columns, 1), [&](std::size_t first, std::size_t some, std::size_t worker) {
        Kernels::pack({w, begin + first, some, weight.panels + (begin + first) * panel_bytes, weight.order,
                       scratch + worker * words, weight.groups.data()});
      });
      const std::size_t row = begin * cpu::panel_rows;
      begin += n;
      weight.moved.store(begin, std::memory_order_release);
      weight.done_with({w.row(row), (std::min(begin * cpu::panel_rows, w.rows) - row) * w.stride()});
    }
  }

  /// From its second use on a weight moves by an eighth, or by 16 MB if that is more. What is to move at load and has not
  /// does so at its first.
  void move_some(cpu::packed_weight& weight) {
    if (weight.settled()) return;
    const bool used = weight.used.exchange(true, std::memory_order_relaxed);
    if (!used && pack_ == packing::in_use) return;
    if (weight.moving.exchange(true, std::memory_order_acquire)) return;  // another session is at it
    const std::size_t panel_bytes = weight.panel_bytes();
    const std::size_t share = std::max({std::size_t{1}, (std::size_t{16} << 20) / panel_bytes, weight.count() / 8});
    const std::size_t left = weight.count() - weight.moved.load(std::memory_order_relaxed);
    move_panels(weight, pack_ == packing::at_load ? left : std::min(share, left));
    weight.moving.store(false, std::memory_order_release);
  }

  void panels_of(const projection& p, const float* x, const cpu::activations& levels,
                 const cpu::byte_activations& byte_levels, std::size_t tokens, std::size_t first, std::size_t count,
                 std::byte* scratch) {
    if (!takes_rounded(p.w, tokens)) {
      const std::size_t row = first * cpu::panel_rows;
      const std::size_t rows = std::min(count * cpu::panel_rows, p.w.rows - row);
      Kernels::matmul({p.w, x, tokens, p.y, row, rows, reinterpret_cast<float*>(scratch)});
      return;
    }
    cpu::packed_call call{nullptr, p.w.type, p.w.rows, p.w.columns, levels, tokens, p.y, first, count, scratch, {}};
    if (takes_bytes(p.w, tokens)) call.bytes = byte_levels;
    const cpu::packed_weight* const in_panels = packed(p.w);
    if (in_panels == nullptr) {
      call.w = p.w.row(first * cpu::panel_rows);
      return cpu::packed_matmul<Kernels>(call);
    }
    const cpu::packed_weight& weight = *in_panels;
    const matrix_view& stored = weight.stored;
    const auto multiply = [&](const std::byte* panels, std::size_t from, std::size_t some) {
      call.w = panels;
      call.first = from;
      call.count = some;
      cpu::packed_matmul<Kernels>(call);
    };
    const std::size_t end = first + count;
    const std::size_t moved = std::clamp(weight.moved.load(std::memory_order_acquire), first, end);
    const std::size_t panel_bytes = moved > first ? weight.panel_bytes() : 0;  // settled with the first that moves
    std::size_t from = first;
    if (first < moved && weight.order == cpu::panel_order::words) {
      multiply(weight.panels + first * panel_bytes, first, moved - first);
      from = moved;
    }
    std::byte* const panels = scratch + cpu::packed_scratch;
    while (from < end) {
      const std::size_t some = std::min(panels_at_once(stored), (from < moved ? moved : end) - from);
      if (from < moved) {
        Kernels::as_words({weight.panels + from * panel_bytes, weight.groups.data(), stored.columns, some, panels});
      } else {
        Kernels::pack({stored, from, some, panels});
      }
      multiply(panels, from, some);
      from += some;
    }
  }

  numeric mode_ = numeric::exact;
  packing pack_ = packing::in_use;
  std::size_t unasked_ = 2;  // stages of lower nibbles that are read of every row (`rank_call::first_check`)
  g4::pool* pool_ = nullptr;
  working_memory scratch_;
  working_memory levels_;
  working_memory byte_levels_;
  working_memory pack_scratch_;
};

}  // namespace g4::backend
