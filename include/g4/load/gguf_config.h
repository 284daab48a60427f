/// The header of a GGUF file → what the model is.
///
/// Keys are `<architecture>.<name>`. What they leave unsaid is read off the tensors or inferred as llama.cpp does.
///
/// Source: llama.cpp, src/llama-model.cpp and src/models/gemma{3,3n,4}*.cpp; the conversion scripts beside it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "g4/core/result.h"
#include "g4/io/gguf.h"
#include "g4/load/check_spec.h"
#include "g4/load/match.h"
#include "g4/policy/attention.h"
#include "g4/spec/text.h"

namespace g4::load {

namespace detail {

/// Keys of one architecture, with the first thing that is wrong kept.
class gguf_keys {
 public:
  gguf_keys(const io::gguf_file& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] bool failed() const { return !problem_.empty(); }
  [[nodiscard]] bool has(std::string_view key) const { return file_.metadata.has(full(key)); }
  [[nodiscard]] std::string full(std::string_view key) const {
    asked_.insert(std::string(key));
    return prefix_ + std::string(key);
  }

  /// Refuses the first key of the architecture that nobody has asked for and `harmless(key)` does not know: it may
  /// change the arithmetic.
  template <class Harmless>
  void all_asked(Harmless harmless) {
    for (const io::gguf_value& value : file_.metadata.values()) {
      const std::string_view key = value.key;
      if (!key.starts_with(prefix_)) continue;
      const std::string_view name = key.substr(prefix_.size());
      if (asked_.contains(std::string(name)) || harmless(name)) continue;
      if (!failed()) {
        problem_ = file_.tensors.name() + ": the key " + io::shown(key) + " is not known; it may change the arithmetic";
      }
      return;
    }
  }
  /// Whether a number or a bool is there and is nought, which turns off what it is of.
  [[nodiscard]] bool is_nought(std::string_view key) const {
    const std::string name = prefix_ + std::string(key);
    const auto whole = file_.metadata.i64(name);
    const auto real = file_.metadata.f32(name);
    const auto yes = file_.metadata.boolean(name);
    return (whole && *whole == 0) || (real && *real == 0) || (yes && !*yes);
  }

  void refuse(std::string_view key, const std::string& why) {
    if (!failed()) problem_ = file_.tensors.name() + ": " + full(key) + why;
  }
  void fail_with(const error& why) {
    if (!failed()) problem_ = why.message;
  }

  [[nodiscard]] int whole(std::string_view key, int least, int most) {
    const auto value = file_.metadata.i64(full(key));
    if (!value) {
      fail_with(value.error());
      return least;
    }
    return within(key, *value, least, most);
  }
  [[nodiscard]] int whole_or(std::string_view key, int fallback, int least, int most) {
    return has(key) ? whole(key, least, most) : fallback;
  }
  /// One number for every layer: a list, or one number for all.
  [[nodiscard]] std::array<int, max_layers> each_whole(std::string_view key, int layers, int least, int most) {
    std::array<int, max_layers> out{};
    const auto values = file_.metadata.integers(full(key));
    if (!values) {
      fail_with(values.error());
      return out;
    }
    if (values->size() != 1 && values->size() < static_cast<std::size_t>(layers)) {
      refuse(key, " has " + std::to_string(values->size()) + " entries; expected one, or one for each of " +
                      std::to_string(layers) + " layers");
      return out;
    }
    for (std::size_t l = 0; l < static_cast<std::size_t>(layers); ++l) {
      out[l] = within(key, (*values)[values->size() == 1 ? 0 : l], least, most);
    }
    return out;
  }

  [[nodiscard]] float positive(std::string_view key) {
    const auto value = file_.metadata.f32(full(key));
    if (!value) {
      fail_with(value.error());
      return 1;
    }
    if (!(*value > 0 && *value <= 1e30f)) refuse(key, " is " + number_text(*value) + "; expected a positive number");
    return *value;
  }
  [[nodiscard]] float positive_or(std::string_view key, float fallback) { return has(key) ? positive(key) : fallback; }
  /// A soft cap: 0 where the key is missing or 0.
  [[nodiscard]] float cap(std::string_view key) {
    if (!has(key)) return 0;
    const auto value = file_.metadata.f32(full(key));
    if (!value) {
      fail_with(value.error());
      return 0;
    }
    if (!(*value >= 0 && *value <= 1e30f))
      refuse(key, " is " + number_text(*value) + "; expected 0 or a positive number");
    return *value;
  }
  [[nodiscard]] std::string string_or(std::string_view key, std::string_view fallback) {
    if (!has(key)) return std::string(fallback);
    const auto value = file_.metadata.string(full(key));
    if (!value) {
      fail_with(value.error());
      return std::string(fallback);
    }
    return std::string(*value);
  }

  [[nodiscard]] const io::gguf_file& file() const { return file_; }

 private:
  [[nodiscard]] int within(std::string_view key, std::int64_t value, int least, int most) {
    if (value >= least && value <= most) return static_cast<int>(value);
    refuse(key, " is " + std::to_string(value) + "; expected a whole number from " + std::to_string(least) + " to " +
                    std::to_string(most));
    return least;
  }

  const io::gguf_file& file_;
  std::string prefix_;
  mutable std::set<std::string> asked_;
  std::string problem_;
};

enum class gguf_family : std::uint8_t { gemma3, embedding, gemma3n, gemma4, assistant };

/// The header of one GGUF file, piece by piece.
class gguf_config_reader {
 public:
  gguf_config_reader(gguf_keys& keys, gguf_family family) : keys_(keys), family_(family) {}

  [[nodiscard]] text_spec read() {
    shape();
    if (keys_.failed()) return m_;
    sharing();
    attention();
    pattern();
    feed();
    residual();
    keys_.all_asked([this](std::string_view key) { return says_nothing(key); });
    return m_;
  }

 private:
  /// Keys that leave the arithmetic of the text as it is, or are switched off.
  [[nodiscard]] bool says_nothing(std::string_view key) const {
    constexpr std::string_view harmless[] = {"context_length", "vocab_size", "rope.scaling.original_context_length",
                                             "rope.scaling.finetuned"};
    // Files that bring a tower along describe it in the same namespace.
    constexpr std::string_view of_towers[] = {"vision.", "audio.", "mm."};
    constexpr std::string_view switches[] = {"expert_count",
                                             "expert_used_count",
                                             "attention.shared_kv_layers",
                                             "embedding_length_per_layer_input",
                                             "attn_logit_softcapping",
                                             "final_logit_softcapping",
                                             "attention.scale",
                                             "rope.scale_linear"};
    const auto in = [key](const auto& list) {
      return std::find(std::begin(list), std::end(list), key) != std::end(list);
    };
    if (in(harmless) || (in(switches) && keys_.is_nought(key))) return true;
    for (const std::string_view tower : of_towers) {
      if (key.starts_with(tower)) return true;
    }
    // A drafter has no keys of its own in any layer, and its logits are not capped: only their order counts.
    if (family_ == gguf_family::assistant) {
      return key == "attention.shared_kv_layers" || key == "nextn_predict_layers" || key == "final_logit_softcapping";
    }
    // Its heads are found by their tensors.
    return family_ == gguf_family::embedding && (key.starts_with("dense_") || key == "embedding_length_out");
  }

  [[nodiscard]] bool gemma4() const { return family_ == gguf_family::gemma4 || family_ == gguf_family::assistant; }
  [[nodiscard]] bool gemma3() const { return family_ == gguf_family::gemma3 || family_ == gguf_family::embedding; }
  [[nodiscard]] layer_kind& layer(int l) { return m_.layer[static_cast<std::size_t>(l)]; }
  [[nodiscard]] bool has_tensor(const std::string& name) const { return keys_.file().tensors.find(name) != nullptr; }
  [[nodiscard]] bool has_tensor(int l, const char* name) const {
    return has_tensor("blk." + std::to_string(l) + "." + name);
  }

  /// Rows of a table, known from its tensor; 0 and an error where it is missing.
  [[nodiscard]] int rows_of(const char* name) {
    const io::stored_tensor* t = keys_.file().tensors.find(name);
    if (t == nullptr || t->dims.rank() != 2 || t->dims[0] > (1u << 24)) {
      const std::string& file = keys_.file().tensors.name();
      keys_.fail_with(t == nullptr
                          ? error{file + ": the tensor " + name + " is missing"}
                          : error{file + ": " + name + " is " + io::to_string(t->dims) + "; expected [rows, columns]"});
      return 0;
    }
    return static_cast<int>(t->dims[0]);
  }

  void shape() {
    m_.layers = keys_.whole("block_count", 1, max_layers);
    m_.width = keys_.whole("embedding_length", 1, 1 << 20);
    m_.norm_eps = keys_.positive("attention.layer_norm_rms_epsilon");
    m_.vocab = rows_of("token_embd.weight");
    m_.tied_head = !has_tensor("output.weight");
    m_.one_plus_weight = gemma3();  // the weights are stored with the 1 added; the model is the same
  }

  void sharing() {
    if (family_ == gguf_family::gemma3n) {
      // llama.cpp fixes the number of layers with keys of their own at 20; files may say so.
      m_.shared_layers = keys_.whole_or("attention.shared_kv_layers", std::max(0, m_.layers - 20), 0, m_.layers);
    } else if (family_ == gguf_family::gemma4) {
      m_.shared_layers = keys_.whole_or("attention.shared_kv_layers", 0, 0, m_.layers);
    } else if (family_ == gguf_family::assistant) {
      m_.shared_layers = m_.layers;
      m_.target = target_spec{keys_.whole("embedding_length_out", 1, 1 << 20)};
      if (has_tensor("masked_embd_centroids.weight")) {
        // No key says how many are chosen; every released drafter has 32.
        m_.clusters = clusters_spec{rows_of("masked_embd_centroids.weight"), 32};
      }
    }
  }

  void attention() {
    m_.qk_norm = true;
    m_.v_norm = !gemma3();
    m_.attention_bias = has_tensor(0, "attn_q.bias");
    m_.logit_cap = family_ == gguf_family::assistant ? 0 : keys_.cap("final_logit_softcapping");
    if (gemma3()) m_.score_cap = keys_.cap("attn_logit_softcapping");
    const auto query = keys_.each_whole("attention.head_count", m_.layers, 1, 4096);
    const auto key_value = keys_.each_whole("attention.head_count_kv", m_.layers, 1, 4096);
    for (int l = 0; l < m_.layers; ++l) {
      layer(l).query_heads = query[static_cast<std::size_t>(l)];
      layer(l).key_value_heads = key_value[static_cast<std::size_t>(l)];
    }
    m_.query_heads = query[0];
    m_.key_value_heads = key_value[0];
  }

  void pattern() {
    const int global_size = keys_.whole_or("attention.key_length", 256, 2, 1 << 16);
    const int local_size = keys_.whole_or("attention.key_length_swa", global_size, 2, 1 << 16);
    for (const auto& [value, key] : {std::pair{"attention.value_length", "attention.key_length"},
                                     std::pair{"attention.value_length_swa", "attention.key_length_swa"}}) {
      const int size = keys_.whole_or(key, global_size, 2, 1 << 16);
      if (keys_.whole_or(value, size, 2, 1 << 16) != size)
        keys_.refuse(value, " is not the key length; g4 needs them equal");
    }
    const int window = keys_.whole("attention.sliding_window", 1, 1 << 30);
    const bool not_causal = says_not_causal();
    if (not_causal && !gemma3()) keys_.refuse("attention.causal", " is false; g4 knows that of Gemma 3 alone");
    const bool encoder = family_ == gguf_family::embedding || not_causal;
    if (family_ == gguf_family::embedding && keys_.whole_or("pooling_type", 1, 0, 1 << 16) != 1)
      keys_.refuse("pooling_type", " is not 1; an embedding is the mean of all rows");
    for (const auto& [key, size] :
         {std::pair{"rope.dimension_count", global_size}, std::pair{"rope.dimension_count_swa", local_size}}) {
      if (keys_.whole_or(key, size, 0, 1 << 16) != size)
        keys_.refuse(key, " is not the key length, " + std::to_string(size) + "; g4 turns whole heads");
    }
    m_.sees = encoder ? visibility::everything : visibility::causal;
    const std::array<bool, max_layers> local = local_layers();
    const std::array<rope_spec, 2> rope = ropes();
    for (int l = 0; l < m_.layers; ++l) {
      layer_kind& k = layer(l);
      k.sees = local[static_cast<std::size_t>(l)] ? reach::local : reach::global;
      const bool global = k.sees == reach::global;
      k.head_size = global ? global_size : local_size;
      k.rope = rope[global ? 1 : 0];
      // llama.cpp lets an encoder's local layer see |d| ≤ W/2, which is the reference's |d| < W/2 + 1.
      if (!global) k.keys = encoder ? key_span{window / 2, window / 2} : key_span{window - 1, 0};
      const bool owner = l < m_.first_shared();
      if (gemma4() && owner && has_tensor(l, "attn_k.weight")) k.key_is_value = !has_tensor(l, "attn_v.weight");
    }
    if (gemma3()) {
      // The scale has no key. llama.cpp: the width of a head of the residual for 27B, the head size for all others.
      const bool wide = m_.layers == 62;
      const float divisor = wide ? static_cast<float>(m_.width) / static_cast<float>(std::max(1, m_.query_heads))
                                 : static_cast<float>(global_size);
      scaled_by_root_of{divisor}.describe(m_);
    }
  }

  [[nodiscard]] bool says_not_causal() {
    if (!keys_.has("attention.causal")) return false;
    const auto value = keys_.file().metadata.boolean(keys_.full("attention.causal"));
    if (!value) keys_.fail_with(value.error());
    return value && !*value;
  }

  [[nodiscard]] std::array<bool, max_layers> local_layers() {
    constexpr std::string_view key = "attention.sliding_window_pattern";
    std::array<bool, max_layers> local{};
    int period = family_ == gguf_family::gemma3n ? 5 : 6;
    const io::gguf_value* value = keys_.file().metadata.find(keys_.full(key));
    if (value != nullptr && value->element == io::gguf_type::boolean) {
      const auto list = keys_.file().metadata.booleans(keys_.full(key));
      if (!list || list->size() < static_cast<std::size_t>(m_.layers)) {
        keys_.refuse(key, " has " + std::to_string(value->count) + " entries; expected one for each of " +
                              std::to_string(m_.layers) + " layers");
        return local;
      }
      for (std::size_t l = 0; l < static_cast<std::size_t>(m_.layers); ++l) local[l] = (*list)[l];
      return local;
    }
    if (value != nullptr) period = keys_.whole(key, 1, 1 << 16);
    if (value == nullptr && gemma4()) keys_.refuse(key, " is missing; expected a list of bools");
    for (int l = 0; l < m_.layers; ++l) local[static_cast<std::size_t>(l)] = (l + 1) % period != 0;
    return local;
  }

  [[nodiscard]] std::array<rope_spec, 2> ropes() {
    std::array<rope_spec, 2> rope;
    rope[0].theta = keys_.positive_or("rope.freq_base_swa", 1e4f);
    rope[1].theta = keys_.positive_or("rope.freq_base", 1e6f);
    // A factor without a type is linear, as in llama.cpp, and `scale_linear` is the key's older name.
    const bool older = keys_.has("rope.scale_linear") && !keys_.is_nought("rope.scale_linear");
    const bool newer = keys_.has("rope.scaling.factor");
    const std::string scaling = keys_.string_or("rope.scaling.type", older || newer ? "linear" : "none");
    if (scaling == "linear") {
      rope[1].factor = keys_.positive(older && !newer ? "rope.scale_linear" : "rope.scaling.factor");
      if (older && newer && keys_.positive("rope.scale_linear") != rope[1].factor)
        keys_.refuse("rope.scale_linear", " is not rope.scaling.factor");
    } else if (scaling != "none") {
      keys_.refuse("rope.scaling.type", " is \"" + io::shown(scaling) + "\"; expected \"none\" or \"linear\"");
    }
    if (keys_.positive_or("rope.scaling.attn_factor", 1) != 1)
      keys_.refuse("rope.scaling.attn_factor", " is not 1; g4 does not know it");
    if (gemma4()) rope[1].fraction = fraction();
    return rope;
  }

  /// Gemma 4: rope_freqs.weight divides frequencies of global layers, by 1 where a pair turns and by 1e30 where not.
  [[nodiscard]] float fraction() {
    const io::tensor_file& tensors = keys_.file().tensors;
    const io::stored_tensor* t = tensors.find("rope_freqs.weight");
    if (t == nullptr) return 0.25f;
    if (t->type.weights != storage::f32 || t->dims.elements() == 0) {
      keys_.fail_with({tensors.name() + ": rope_freqs.weight is " + std::string(t->type.name) + "; expected F32"});
      return 0.25f;
    }
    const io::gguf_floats divisors(io::gguf_type::f32, t->dims.elements(), t->bytes.data());
    std::size_t turning = 0;
    while (turning < divisors.size() && divisors[turning] == 1.0f) ++turning;
    for (std::size_t i = turning; i < divisors.size(); ++i) {
      if (!(divisors[i] >= 1e20f)) {
        keys_.fail_with({tensors.name() + ": rope_freqs.weight holds " + number_text(divisors[i]) +
                         "; g4 knows 1 for pairs that turn, and then 1e30"});
        break;
      }
    }
    return static_cast<float>(turning) / static_cast<float>(divisors.size());
  }

  void feed() {
    const auto hidden = keys_.each_whole("feed_forward_length", m_.layers, 1, 1 << 20);
    for (int l = 0; l < m_.layers; ++l) layer(l).hidden = hidden[static_cast<std::size_t>(l)];
    if (family_ == gguf_family::gemma3n) sparsity();
    if (family_ != gguf_family::gemma4) return;
    // Twice the width in every reusing layer, and one width in the others, is what double-wide means.
    const int first = m_.first_shared();
    bool doubled = m_.shared_layers > 0 && first > 0;
    for (int l = 0; l < m_.layers; ++l) doubled = doubled && layer(l).hidden == layer(0).hidden * (l < first ? 1 : 2);
    if (doubled) {
      m_.doubled_where_shared = true;
      for (int l = first; l < m_.layers; ++l) layer(l).hidden = layer(0).hidden;  // settle() doubles them again
    }
    const int experts = keys_.whole_or("expert_count", 0, 0, 1 << 16);
    if (experts == 0) return;
    m_.experts = experts_spec{experts, keys_.whole("expert_used_count", 1, 1 << 16),
                              keys_.whole("expert_feed_forward_length", 1, 1 << 20)};
  }

  /// The file holds z, g4 the share Φ(z); shares are round numbers, so they are rounded to a ten-thousandth.
  void sparsity() {
    constexpr std::string_view key = "activation_sparsity_scale";
    if (!keys_.has(key)) return;
    const auto list = keys_.file().metadata.floats(keys_.full(key));
    if (!list || list->size() < static_cast<std::size_t>(m_.layers)) {
      keys_.refuse(key, " is no list of floats with one for each of " + std::to_string(m_.layers) + " layers");
      return;
    }
    for (int l = 0; l < m_.layers; ++l) {
      const auto z = static_cast<double>((*list)[static_cast<std::size_t>(l)]);
      if (!(z > -10)) continue;  // the converter writes −∞ (or a large negative number) where nothing is cut
      const double share = std::round(0.5 * std::erfc(-z / std::numbers::sqrt2) * 1e4) / 1e4;
      if (share >= 1) {
        keys_.refuse(key, " holds " + number_text(static_cast<float>(z)) + "; nothing would be left");
        return;
      }
      layer(l).sparsity = static_cast<float>(share);
    }
  }

  void residual() {
    m_.layer_scalar = gemma4();
    if (family_ == gguf_family::gemma3n || family_ == gguf_family::gemma4) {
      const int width = keys_.whole_or("embedding_length_per_layer_input", 0, 0, 1 << 20);
      if (width > 0) m_.per_layer = per_layer_spec{width, rows_of("per_layer_token_embd.weight")};
    }
    // No key says it: llama.cpp takes a Gemma 4 without per-layer embeddings for one whose images see themselves.
    if (family_ == gguf_family::gemma4 && !m_.per_layer) m_.sees = visibility::images_on_local;
    if (family_ != gguf_family::gemma3n) return;
    m_.altup = altup_spec{keys_.whole("altup.num_inputs", 2, 64)};
    if (keys_.whole_or("altup.active_idx", 0, 0, 63) != 0)
      keys_.refuse("altup.active_idx", " is not 0; stream 0 is the active one");
    m_.laurel = laurel_spec{rows_of("blk.0.laurel_l.weight")};
  }

  gguf_keys& keys_;
  gguf_family family_;
  text_spec m_;
};

}  // namespace detail

/// What a GGUF file leaves unsaid, for `differences` and `nearest`.
[[nodiscard]] inline laxity laxity_of(const io::gguf_file& file) {
  const auto architecture = file.metadata.string("general.architecture");
  const bool gemma3 = architecture && *architecture == "gemma3";
  return {.images = gemma3, .fewer_rows = gemma3};
}

/// Reads the header of a GGUF file of Gemma 3, EmbeddingGemma, Gemma 3n, Gemma 4 or a Gemma 4 drafter. Settled, and
/// keeping every rule of rule/rules.h.
[[nodiscard]] inline result<text_spec> read_config(const io::gguf_file& file) {
  const auto architecture = file.metadata.string("general.architecture");
  if (!architecture) return unexpected(architecture.error());
  detail::gguf_family family{};
  if (*architecture == "gemma3") {
    family = detail::gguf_family::gemma3;
  } else if (*architecture == "gemma-embedding") {
    family = detail::gguf_family::embedding;
  } else if (*architecture == "gemma3n") {
    family = detail::gguf_family::gemma3n;
  } else if (*architecture == "gemma4") {
    family = detail::gguf_family::gemma4;
  } else if (*architecture == "gemma4-assistant") {
    family = detail::gguf_family::assistant;
  } else {
    return fail(file.tensors.name(), ": general.architecture is \"", io::shown(*architecture),
                "\"; expected gemma3, gemma-embedding, gemma3n, gemma4 or gemma4-assistant");
  }
  detail::gguf_keys keys(file, std::string(*architecture));
  text_spec m = detail::gguf_config_reader(keys, family).read();
  if (keys.failed()) return fail(keys.problem());
  settle(m);
  if (auto kept = check_spec(m, file.tensors.name()); !kept) return unexpected(std::move(kept.error()));
  return m;
}

}  // namespace g4::load
