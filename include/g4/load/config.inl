#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

#include "g4/io/json.h"
#include "g4/io/shown.h"
#include "g4/load/check_spec.h"
#include "g4/load/config.h"
#include "g4/load/config_object.h"
#include "g4/policy/attention.h"

namespace g4::load {

namespace detail {

enum class config_family : std::uint8_t { gemma3, gemma3n, gemma4, gemma4_unified };

/// What `model_type` says.
struct config_kind {
  std::string_view model_type;
  config_family family;
  bool nested;  ///< the text model is in text_config
  bool drafter;
};

inline constexpr config_kind config_kinds[] = {
    {"gemma3_text", config_family::gemma3, false, false},
    {"gemma3", config_family::gemma3, true, false},
    {"gemma3n_text", config_family::gemma3n, false, false},
    {"gemma3n", config_family::gemma3n, true, false},
    {"gemma4_text", config_family::gemma4, false, false},
    {"gemma4", config_family::gemma4, true, false},
    {"gemma4_unified_text", config_family::gemma4_unified, false, false},
    {"gemma4_unified", config_family::gemma4_unified, true, false},
    {"gemma4_assistant", config_family::gemma4, true, true},
    {"gemma4_unified_assistant", config_family::gemma4_unified, true, true},
};

/// Defaults in which the generations differ.
struct config_defaults {
  std::string_view text_type;
  int vocab, width, hidden, layers, query_heads, key_value_heads, window, shared, pattern;
  float logit_cap;
};

[[nodiscard]] constexpr config_defaults defaults_of(config_family family) {
  switch (family) {
    case config_family::gemma3: return {"gemma3_text", 262'208, 2304, 9216, 26, 8, 4, 4096, 0, 6, 0};
    case config_family::gemma3n: return {"gemma3n_text", 262'400, 2048, 16'384, 35, 8, 2, 512, 15, 5, 30};
    case config_family::gemma4: return {"gemma4_text", 262'144, 2304, 9216, 30, 8, 4, 512, 0, 6, 0};
    case config_family::gemma4_unified: break;
  }
  return {"gemma4_unified_text", 262'144, 2304, 9216, 30, 8, 4, 1024, 0, 6, 0};
}

/// Frequencies from one set of rope parameters; `theta` 0 means that they must name it.
[[nodiscard]] inline rope_spec read_rope(config_object& keys, float theta) {
  rope_spec rope;
  const std::string_view old_type = keys.text("type", "default");
  const std::string_view type = keys.text("rope_type", old_type);
  rope.theta = keys.positive("rope_theta", theta);
  if (rope.theta == 0) keys.refuse("rope_theta", " is missing");
  const io::json* factor = keys.take_set("factor");
  const io::json* fraction = keys.take_set("partial_rotary_factor");
  const std::string_view key = "rope_type";
  if (factor != nullptr) rope.factor = keys.real_of("factor", *factor, 1e-6f, 1e6f, "a positive number");
  if (fraction != nullptr) {
    rope.fraction = keys.real_of("partial_rotary_factor", *fraction, 0.0f, 1.0f, "a number from 0 to 1");
  }
  if (type == "default") {
    if (rope.factor != 1) keys.refuse("factor", " is set, but rope_type \"default\" has none");
    if (rope.fraction != 1) keys.refuse("partial_rotary_factor", " is set, but rope_type \"default\" turns every pair");
  } else if (type == "linear") {
    if (factor == nullptr) keys.refuse("factor", " is missing; rope_type \"linear\" needs it");
    if (rope.fraction != 1)
      keys.refuse("partial_rotary_factor", " is set, but g4's rope_type \"linear\" turns every pair");
  } else if (type != "proportional") {
    keys.refuse(key, " is \"" + io::shown(type) + "\"; expected \"default\", \"linear\" or \"proportional\"");
  }
  keys.finish();
  return rope;
}

/// The text part of a configuration, piece by piece.
class text_config_reader {
 public:
  text_config_reader(config_object& keys, const config_kind& kind, std::string& problem)
      : keys_(keys), kind_(kind), defaults_(defaults_of(kind.family)), problem_(problem) {}

  [[nodiscard]] text_spec read() {
    shape();
    attention();
    m_.sees = sees();
    pattern();
    if (keys_.failed()) return m_;
    feed();
    residual();
    sharing();
    keys_.ignore(harmless_keys);
    keys_.finish();
    return m_;
  }

 private:
  [[nodiscard]] bool gemma4() const {
    return kind_.family == config_family::gemma4 || kind_.family == config_family::gemma4_unified;
  }
  [[nodiscard]] layer_kind& layer(int l) { return m_.layer[static_cast<std::size_t>(l)]; }

  void shape() {
    m_.layers = keys_.whole("num_hidden_layers", defaults_.layers, 1, max_layers);
    m_.width = keys_.whole("hidden_size", defaults_.width, 1, most_width);
    m_.vocab = keys_.whole("vocab_size", defaults_.vocab, 1, most_vocab);
    m_.norm_eps = keys_.positive("rms_norm_eps", 1e-6f);
    m_.one_plus_weight = kind_.family == config_family::gemma3;
    if (!kind_.nested) m_.tied_head = keys_.truth("tie_word_embeddings", true);
    // One thing under two names: Gemma's, and the reference's usual one, which released files carry beside it.
    for (const std::string_view key : {"hidden_activation", "hidden_act"}) {
      const io::json* name = keys_.take(key);
      if (name != nullptr && *name != "gelu_pytorch_tanh") keys_.expected(key, *name, "\"gelu_pytorch_tanh\"");
    }
    m_.activation = activation_kind::gelu_tanh;
    for (const char* key : {"is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder"}) keys_.only(key, false);
    if (const io::json* pruned = keys_.take_set("pruned_heads"); pruned != nullptr && !pruned->empty()) {
      keys_.expected("pruned_heads", *pruned, "none");
    }
  }

  void attention() {
    m_.query_heads = keys_.whole("num_attention_heads", defaults_.query_heads, 1, 4096);
    m_.key_value_heads = keys_.whole("num_key_value_heads", defaults_.key_value_heads, 1, 4096);
    head_size_ = keys_.whole("head_dim", 256, 2, 1 << 16);
    m_.qk_norm = true;
    m_.v_norm = kind_.family != config_family::gemma3;
    m_.attention_bias = keys_.truth("attention_bias", false);
    m_.logit_cap = keys_.cap("final_logit_softcapping", defaults_.logit_cap);
    // The reference's drafters and its Gemma 3 with images do not cap their logits, whatever the key says.
    if (kind_.drafter || (kind_.nested && kind_.family == config_family::gemma3)) m_.logit_cap = 0;
    if (kind_.family == config_family::gemma3) {
      scaled_by_root_of{keys_.positive("query_pre_attn_scalar", 256)}.describe(m_);
      m_.score_cap = keys_.cap("attn_logit_softcapping", 0);
    } else if (kind_.family == config_family::gemma3n) {
      keys_.ignore({"query_pre_attn_scalar"});  // released files carry it; the reference's scale is 1
    }
  }

  [[nodiscard]] visibility sees() {
    constexpr std::string_view key = "use_bidirectional_attention";
    const visibility with_images =
        kind_.family == config_family::gemma3 && kind_.nested ? visibility::images_everywhere : visibility::causal;
    visibility found = with_images;
    const io::json* value = keys_.take(key);
    const bool* truth = value != nullptr ? value->as<bool>() : nullptr;
    if (value == nullptr) {
      if (kind_.family == config_family::gemma4_unified) found = visibility::images_on_local;
    } else if (value->is_null() || (truth != nullptr && !*truth)) {
      found = with_images;
    } else if (kind_.family == config_family::gemma3 && truth != nullptr) {
      found = visibility::everything;
    } else if (gemma4() && *value == "vision") {
      found = visibility::images_on_local;
    } else if (gemma4() && *value == "all") {
      found = visibility::everything;
    } else {
      keys_.expected(key, *value,
                     gemma4()                                ? "null, \"vision\" or \"all\""
                     : kind_.family == config_family::gemma3 ? "true or false"
                                                             : "false");
    }
    if (kind_.drafter) found = visibility::causal;  // a drafter's one token sees what its target has verified
    keys_.only("is_causal", found != visibility::everything);
    return found;
  }

  /// The keys a local layer sees. Each generation counts an encoder's window in its own way.
  [[nodiscard]] key_span window_keys() {
    const io::json* value = keys_.take("sliding_window");
    int window = defaults_.window;
    if (value != nullptr) {
      if (value->is_null() && kind_.family == config_family::gemma3)
        return {};  // check_spec asks for it where it is needed
      window = keys_.whole_of("sliding_window", *value, 1, 1 << 30);
    }
    if (m_.sees != visibility::everything) return {window - 1, 0};
    const int half = window / 2 + 1;
    return gemma4() ? key_span{half, half} : key_span{half - 1, half - 1};  // |d| ≤ half; |d| < half
  }

  void pattern() {
    const key_span window = window_keys();
    const io::json* types = keys_.list("layer_types", m_.layers);
    int period = defaults_.pattern;
    if (kind_.family == config_family::gemma3) {
      if (const io::json* given = keys_.take_set("sliding_window_pattern")) {
        period = keys_.whole_of("sliding_window_pattern", *given, 1, 1 << 16);
      }
      // The name under which the reference saves the period; it matters only where there are no layer_types.
      if (const io::json* saved = keys_.take_set("_sliding_window_pattern"); saved != nullptr && types == nullptr) {
        const int other = keys_.whole_of("_sliding_window_pattern", *saved, 1, 1 << 16);
        if (other != period)
          keys_.expected("_sliding_window_pattern", *saved, std::to_string(period) + ", or layer_types");
      }
    }
    if (keys_.failed()) return;
    for (int l = 0; l < m_.layers; ++l) {
      bool local = (l + 1) % period != 0;
      if (types != nullptr) {
        const io::json& type = (*types)[static_cast<std::size_t>(l)];
        local = type == "sliding_attention";
        if (!local && type != "full_attention") {
          keys_.expected("layer_types[" + std::to_string(l) + "]", type, "\"sliding_attention\" or \"full_attention\"");
        }
      }
      if (gemma4() && l + 1 == m_.layers) local = false;  // the reference makes Gemma 4's last layer full
      layer_kind& k = layer(l);
      k.sees = local ? reach::local : reach::global;
      k.head_size = head_size_;
      if (local) k.keys = window;
    }
    ropes();
    if (gemma4()) global_layers();
  }

  [[nodiscard]] bool any(reach sees) {
    return std::any_of(m_.layer.begin(), m_.layer.begin() + m_.layers,
                       [sees](const layer_kind& k) { return k.sees == sees; });
  }

  void ropes() {
    const io::json* parameters = keys_.object("rope_parameters");
    std::array<rope_spec, 2> rope{rope_spec{1e4f, 1, 1}, rope_spec{1e6f, 1, gemma4() ? 0.25f : 1.0f}};
    io::json scaling;
    std::array<float, 2> theta{};
    if (!gemma4()) {
      theta = {keys_.positive("rope_local_base_freq", 1e4f), keys_.positive("rope_theta", 1e6f)};
      if (const io::json* value = keys_.object("rope_scaling")) scaling = *value;
      if (scaling.is_object() && scaling.contains("type") && !scaling.contains("rope_type")) {
        // The reference finds its own default under rope_type and drops the factor without a word.
        keys_.refuse("rope_scaling.type", " is an old name that the reference no longer heeds; say rope_type");
      }
    }
    if (gemma4() && parameters == nullptr) {
      apply(rope);
      return;
    }
    const io::json none = io::json::object();
    config_object all(parameters != nullptr ? *parameters : none, keys_.path("rope_parameters."), problem_);
    for (const reach sees : {reach::local, reach::global}) {
      const bool global = sees == reach::global;
      const std::string_view key = global ? "full_attention" : "sliding_attention";
      const io::json* own = all.object(key);
      if (own == nullptr && gemma4()) {
        if (any(sees)) all.refuse(key, " is missing");
        continue;
      }
      io::json merged = own != nullptr ? *own : io::json::object();
      const bool scaled = global && scaling.is_object();
      if (scaled) merged.update(scaling);
      config_object parts(merged, scaled ? keys_.path("rope_scaling.") : all.path(key) + ".", problem_);
      rope[global ? 1 : 0] = read_rope(parts, theta[global ? 1 : 0]);
    }
    all.finish();
    apply(rope);
  }
  void apply(const std::array<rope_spec, 2>& rope) {
    for (int l = 0; l < m_.layers; ++l) layer(l).rope = rope[layer(l).sees == reach::global ? 1 : 0];
  }

  /// Gemma 4: head sizes and key/value heads of its global layers, in either spelling, and keys as values.
  void global_layers() {
    const bool key_is_value = keys_.truth("attention_k_eq_v", false);
    const int size = keys_.whole("global_head_dim", 512, 2, 1 << 16);
    const io::json* heads_key = keys_.take_set("num_global_key_value_heads");
    const int heads = heads_key != nullptr ? keys_.whole_of("num_global_key_value_heads", *heads_key, 1, 4096) : 0;
    const io::json* each = keys_.object("per_layer_config");
    for (int l = 0; l < m_.layers; ++l) {
      layer_kind& k = layer(l);
      if (k.sees != reach::global) continue;
      k.key_is_value = key_is_value;
      if (each != nullptr) continue;
      k.head_size = size;
      if (key_is_value) k.key_value_heads = heads;
    }
    if (each == nullptr) return;
    std::array<bool, max_layers> seen{};
    for (const auto& [digits, value] : each->members()) {  // "5" and "05" are the same layer
      const std::string key = "per_layer_config." + io::shown(digits);
      int l = -1;
      const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), l);
      if (bad != std::errc{} || end != digits.data() + digits.size() || l < 0 || l >= m_.layers) {
        keys_.refuse(key, " is no layer; expected 0 to " + std::to_string(m_.layers - 1));
        return;
      }
      if (seen[static_cast<std::size_t>(l)]) keys_.refuse(key, " is given twice");
      seen[static_cast<std::size_t>(l)] = true;
      if (!value.is_object()) {
        keys_.expected(key, value, "an object");
        return;
      }
      config_object own(value, keys_.path(key) + ".", problem_);
      layer_kind& k = layer(l);
      k.head_size = own.whole("head_dim", k.head_size, 2, 1 << 16);
      k.key_value_heads = own.whole("num_key_value_heads", k.key_value_heads, 1, 4096);
      own.finish();
    }
  }

  void feed() {
    const bool listed = kind_.family == config_family::gemma3n;
    const io::json* value = keys_.take("intermediate_size");
    if (listed && value != nullptr && value->is_array()) {
      const io::json* list = keys_.list("intermediate_size", m_.layers);
      for (int l = 0; list != nullptr && l < m_.layers; ++l) {
        layer(l).hidden = keys_.whole_of("intermediate_size[" + std::to_string(l) + "]",
                                         (*list)[static_cast<std::size_t>(l)], 1, most_width);
      }
    } else {
      const int hidden =
          value != nullptr ? keys_.whole_of("intermediate_size", *value, 1, most_width) : defaults_.hidden;
      for (int l = 0; l < m_.layers; ++l) layer(l).hidden = hidden;
    }
    if (listed) sparsity();
    if (kind_.family == config_family::gemma4) experts();
    if (kind_.family == config_family::gemma4_unified) keys_.only("enable_moe_block", false);
  }

  void sparsity() {
    constexpr std::string_view key = "activation_sparsity_pattern";
    const bool given = keys_.take_set(key) != nullptr;
    const io::json* list = keys_.list(key, m_.layers);
    for (int l = 0; l < m_.layers; ++l) {
      float& target = layer(l).sparsity;
      if (list != nullptr) {
        target = keys_.real_of(std::string(key) + "[" + std::to_string(l) + "]", (*list)[static_cast<std::size_t>(l)],
                               0.0f, 0.999999f, "a number from 0 to below 1");
      } else if (!given) {
        target = m_.layers > 10 && l < 10 ? 0.95f : 0.0f;
      }
    }
  }

  void experts() {
    const bool on = keys_.truth("enable_moe_block", false);
    keys_.ignore({"num_experts", "top_k_experts", "moe_intermediate_size"});
    if (!on) return;
    const auto needed = [this](std::string_view key, int most) {
      const io::json* value = keys_.take(key);
      if (value == nullptr) keys_.refuse(key, " is missing; enable_moe_block needs it");
      return value != nullptr ? keys_.whole_of(key, *value, 1, most) : 1;
    };
    experts_spec e;
    e.count = needed("num_experts", 1 << 16);
    e.chosen = needed("top_k_experts", 1 << 16);
    e.hidden = needed("moe_intermediate_size", most_width);
    m_.experts = e;
  }

  void residual() {
    m_.layer_scalar = gemma4();
    if (kind_.family == config_family::gemma4_unified) {
      keys_.ignore({"vocab_size_per_layer_input"});
      if (keys_.whole("hidden_size_per_layer_input", 0, 0, 0) != 0) return;
    } else if (kind_.family != config_family::gemma3) {
      const int least = kind_.family == config_family::gemma3n ? 1 : 0;
      const int width = keys_.whole("hidden_size_per_layer_input", kind_.drafter ? 0 : 256, least, most_width);
      const int rows = keys_.whole("vocab_size_per_layer_input", 262'144, 0, most_vocab);
      if (width > 0) m_.per_layer = per_layer_spec{width, rows};
    }
    if (kind_.family != config_family::gemma3n) return;
    const int streams = keys_.whole("altup_num_inputs", 4, 2, 64);
    m_.laurel = laurel_spec{keys_.whole("laurel_rank", 64, 1, most_width)};
    const io::json* active = keys_.take("altup_active_idx");
    if (active != nullptr && *active != 0) keys_.expected("altup_active_idx", *active, "0: stream 0 is the active one");
    m_.altup = altup_spec{streams, keys_.truth("altup_correct_scale", true)};
    keys_.ignore({"altup_coef_clip", "altup_lr_multiplier"});  // of training only
  }

  void sharing() {
    if (kind_.family != config_family::gemma3) {
      m_.shared_layers =
          keys_.whole("num_kv_shared_layers", kind_.drafter ? m_.layers : defaults_.shared, 0, m_.layers);
    }
    if (gemma4()) {
      const bool doubled = keys_.truth("use_double_wide_mlp", false);
      m_.doubled_where_shared = doubled && m_.shared_layers > 0;
    }
    if (!kind_.drafter) return;
    if (m_.shared_layers == 0) m_.shared_layers = m_.layers;  // as the reference settles it
    if (m_.shared_layers != m_.layers) {
      keys_.refuse("num_kv_shared_layers", " is " + std::to_string(m_.shared_layers) + "; a drafter shares all its " +
                                               std::to_string(m_.layers) + " layers");
    }
    if (m_.per_layer)
      keys_.refuse("hidden_size_per_layer_input", " is not 0; a drafter has no per-layer embeddings");
    if (m_.experts) keys_.refuse("enable_moe_block", " is true; a drafter has no experts");
    if (m_.doubled_where_shared)
      keys_.refuse("use_double_wide_mlp", " is true; a drafter's feed-forwards are not doubled");
  }

  config_object& keys_;
  const config_kind& kind_;
  config_defaults defaults_;
  std::string& problem_;
  text_spec m_;
  int head_size_ = 0;
};

/// What stands beside text_config.
inline void read_outer(config_object& outer, const config_kind& kind, text_spec& m) {
  m.tied_head = outer.truth("tie_word_embeddings", true);
  if (kind.drafter) {
    const bool unified = kind.family == config_family::gemma4_unified;
    m.target = target_spec{outer.whole("backbone_hidden_size", unified ? 3840 : 1536, 1, most_width)};
    const bool ordered = outer.truth("use_ordered_embeddings", false);
    const int clusters = outer.whole("num_centroids", 2048, 1, most_vocab);
    const int chosen = outer.whole("centroid_intermediate_top_k", 32, 1, most_vocab);
    if (ordered) m.clusters = clusters_spec{clusters, chosen};
  } else {
    outer.ignore(tower_keys);
  }
  for (const char* key : {"is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder"}) outer.only(key, false);
  outer.ignore(harmless_keys);
  outer.finish();
}

}  // namespace detail

G4_INLINE result<text_spec> read_config(std::string_view json_text, std::string_view name) {
  const std::string file(name);
  const auto document = io::parse_json(json_text, name);
  if (!document) return unexpected(document.error());
  if (!document->is_object()) return fail(file, ": is ", detail::shown_json(*document), "; expected an object");

  std::string problem;
  detail::config_object outer(*document, file + ": ", problem);
  const std::string_view type = outer.text("model_type", "");
  const auto* const kinds_end = std::end(detail::config_kinds);
  const auto* const kind = std::find_if(std::begin(detail::config_kinds), kinds_end,
                                        [type](const detail::config_kind& k) { return k.model_type == type; });
  if (problem.empty() && kind == kinds_end) {
    std::string known;
    for (const auto& k : detail::config_kinds) known += (known.empty() ? "" : ", ") + std::string(k.model_type);
    if (type.empty()) return fail(file, ": model_type is missing; expected one of ", known);
    return fail(file, ": model_type is \"", io::shown(type), "\"; expected one of ", known);
  }
  if (!problem.empty()) return fail(problem);

  text_spec m;
  if (kind->nested) {
    const io::json none = io::json::object();
    const io::json* text = outer.object("text_config");
    detail::config_object keys(text != nullptr ? *text : none, outer.path("text_config."), problem);
    const std::string_view inner = detail::defaults_of(kind->family).text_type;
    keys.only_text("model_type", inner);
    keys.ignore({"tie_word_embeddings"});  // the outer one decides
    m = detail::text_config_reader(keys, *kind, problem).read();
    if (problem.empty()) detail::read_outer(outer, *kind, m);
  } else {
    m = detail::text_config_reader(outer, *kind, problem).read();
  }
  if (!problem.empty()) return fail(problem);
  settle(m);
  if (auto kept = check_spec(m, file); !kept) return unexpected(std::move(kept.error()));
  return m;
}

}  // namespace g4::load
