/// What a checkpoint says it is: a `text_spec` as config.json, the inverse of load/config.h.
#pragma once

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "g4/load/gguf_header.h"
#include "g4/spec/text.h"

namespace g4::bench {

using load::first_layer;
using load::trained_context;

/// Whether config.json of this model has a text_config inside, as multimodal models do.
[[nodiscard]] inline bool is_nested(const text_spec& m) {
  return generation_of(m) != generation::gemma3 || m.sees == visibility::images_everywhere;
}

/// Where a safetensors file of this model keeps its text model.
[[nodiscard]] inline std::string_view text_prefix_of(const text_spec& m) {
  if (m.is_drafter() || !is_nested(m)) return "model.";
  return generation_of(m) == generation::gemma3 ? "language_model.model." : "model.language_model.";
}

/// config.json of a text, as it is or nested in a multimodal model's.
[[nodiscard]] inline nlohmann::ordered_json config_of(const text_spec& m) {
  using nlohmann::ordered_json;
  const generation g = generation_of(m);
  const std::string family = g == generation::gemma3 ? "gemma3" : g == generation::gemma3n ? "gemma3n" : "gemma4";
  const layer_kind& local = first_layer(m, reach::local);
  const layer_kind& global = first_layer(m, reach::global);
  const auto L = static_cast<std::size_t>(m.layers);
  const auto each = [&](auto value_of) {
    auto list = ordered_json::array();
    for (std::size_t l = 0; l < L; ++l) list.push_back(value_of(m.layer[l]));
    return list;
  };

  ordered_json text;
  text["model_type"] = family + "_text";
  text["num_hidden_layers"] = m.layers;
  text["hidden_size"] = m.width;
  text["vocab_size"] = m.vocab;
  text["rms_norm_eps"] = static_cast<double>(m.norm_eps);
  text["hidden_activation"] = "gelu_pytorch_tanh";
  text["max_position_embeddings"] = trained_context(m);
  text["num_attention_heads"] = m.query_heads;
  text["num_key_value_heads"] = local.key_value_heads;
  text["head_dim"] = local.head_size;
  text["attention_bias"] = m.attention_bias;
  text["layer_types"] =
      each([](const layer_kind& k) { return k.sees == reach::local ? "sliding_attention" : "full_attention"; });
  const bool encoder = m.sees == visibility::everything;
  const int ahead = local.keys.ahead;
  text["sliding_window"] = !encoder ? local.keys.back + 1 : g == generation::gemma4 ? 2 * (ahead - 1) : 2 * ahead;
  if (g == generation::gemma3 || g == generation::gemma3n) {
    text["rope_local_base_freq"] = static_cast<double>(local.rope.theta);
    text["rope_theta"] = static_cast<double>(global.rope.theta);
    if (global.rope.factor != 1) {
      text["rope_scaling"] = {{"rope_type", "linear"}, {"factor", static_cast<double>(global.rope.factor)}};
    }
  }
  if (g == generation::gemma3) {
    text["intermediate_size"] = global.hidden;
    // 1/scale² in float arithmetic is a hair off the round number that it comes from.
    text["query_pre_attn_scalar"] = std::round(16 / (m.query_scale * m.query_scale)) / 16;
    if (m.score_cap != 0) text["attn_logit_softcapping"] = static_cast<double>(m.score_cap);
    if (m.logit_cap != 0) text["final_logit_softcapping"] = static_cast<double>(m.logit_cap);
    if (encoder) text["use_bidirectional_attention"] = true;
  } else {
    text["final_logit_softcapping"] =
        m.logit_cap != 0 ? ordered_json(static_cast<double>(m.logit_cap)) : ordered_json();
    text["num_kv_shared_layers"] = m.shared_layers;
    text["hidden_size_per_layer_input"] = m.per_layer->width;
    if (m.per_layer.has_value()) text["vocab_size_per_layer_input"] = m.per_layer->vocab;
  }
  if (g == generation::gemma3n) {
    text["intermediate_size"] = each([](const layer_kind& k) { return k.hidden; });
    text["activation_sparsity_pattern"] = each([](const layer_kind& k) { return static_cast<double>(k.sparsity); });
    text["altup_num_inputs"] = m.altup->streams;
    text["altup_correct_scale"] = m.altup->output_scale;
    text["laurel_rank"] = m.laurel->rank;
  }
  if (g == generation::gemma4) {
    text["intermediate_size"] = m.layer[0].hidden;
    text["use_double_wide_mlp"] = m.doubled_where_shared;
    text["global_head_dim"] = global.head_size;
    // Only with keys as values does this spelling give global layers heads of their own; a drafter's producers have them.
    bool same = global.key_value_heads != local.key_value_heads;
    for (std::size_t l = 0; l < L; ++l) same = same || m.layer[l].key_is_value;
    text["attention_k_eq_v"] = same;
    if (same) text["num_global_key_value_heads"] = global.key_value_heads;
    text["rope_parameters"]["sliding_attention"] = {{"rope_type", "default"},
                                                    {"rope_theta", static_cast<double>(local.rope.theta)}};
    text["rope_parameters"]["full_attention"] = {{"rope_type", "proportional"},
                                                 {"rope_theta", static_cast<double>(global.rope.theta)},
                                                 {"partial_rotary_factor", static_cast<double>(global.rope.fraction)}};
    if (m.sees == visibility::images_on_local) text["use_bidirectional_attention"] = "vision";
    if (encoder) text["use_bidirectional_attention"] = "all";
    text["enable_moe_block"] = m.experts.has_value();
    if (m.experts.has_value()) {
      text["num_experts"] = m.experts->count;
      text["top_k_experts"] = m.experts->chosen;
      text["moe_intermediate_size"] = m.experts->hidden;
    }
  }
  if (!is_nested(m)) {
    text["tie_word_embeddings"] = m.tied_head;
    return text;
  }
  ordered_json outer;
  outer["model_type"] = m.is_drafter() ? "gemma4_assistant" : family;
  outer["tie_word_embeddings"] = m.tied_head;
  if (m.is_drafter()) {
    outer["backbone_hidden_size"] = m.target->width;
    outer["use_ordered_embeddings"] = m.clusters.has_value();
    if (m.clusters.has_value()) {
      outer["num_centroids"] = m.clusters->count;
      outer["centroid_intermediate_top_k"] = m.clusters->chosen;
    }
  }
  outer["text_config"] = std::move(text);
  return outer;
}
[[nodiscard]] inline std::string config_json(const text_spec& m) { return config_of(m).dump(2) + "\n"; }

}  // namespace g4::bench
