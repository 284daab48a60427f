/// What each file format calls each part of a model.
///
/// Source: the state dicts of transformers 5.23.0 and the tensor names of GGUF files (docs/formats.md).
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "g4/model/schema.h"

namespace g4::load {

enum class format : std::uint8_t { safetensors, gguf };

struct part_names {
  part what;
  std::string_view safetensors;  ///< without the prefix of the text model (and of the layer)
  std::string_view gguf;         ///< without the prefix of the layer
};

/// Empty where a format has no such tensor. A name with '#' stands for several tensors, numbered from 0.
inline constexpr std::array names{
    part_names{part::embed, "embed_tokens.weight", "token_embd.weight"},
    part_names{part::head, "lm_head.weight", "output.weight"},
    part_names{part::final_norm, "norm.weight", "output_norm.weight"},
    part_names{part::per_layer_embed, "embed_tokens_per_layer.weight", "per_layer_token_embd.weight"},
    part_names{part::per_layer_model_projection, "per_layer_model_projection.weight", "per_layer_model_proj.weight"},
    part_names{part::per_layer_projection_norm, "per_layer_projection_norm.weight", "per_layer_proj_norm.weight"},
    part_names{part::altup_projections, "altup_projections.#.weight", "altup_proj.weight"},
    part_names{part::altup_unembed_projections, "altup_unembed_projections.#.weight", "altup_unembd_proj.weight"},
    part_names{part::attention_norm, "input_layernorm.weight", "attn_norm.weight"},
    part_names{part::post_attention_norm, "post_attention_layernorm.weight", "post_attention_norm.weight"},
    part_names{part::query, "self_attn.q_proj.weight", "attn_q.weight"},
    part_names{part::key, "self_attn.k_proj.weight", "attn_k.weight"},
    part_names{part::value, "self_attn.v_proj.weight", "attn_v.weight"},
    part_names{part::output, "self_attn.o_proj.weight", "attn_output.weight"},
    part_names{part::query_bias, "self_attn.q_proj.bias", "attn_q.bias"},
    part_names{part::key_bias, "self_attn.k_proj.bias", "attn_k.bias"},
    part_names{part::value_bias, "self_attn.v_proj.bias", "attn_v.bias"},
    part_names{part::output_bias, "self_attn.o_proj.bias", "attn_output.bias"},
    part_names{part::query_norm, "self_attn.q_norm.weight", "attn_q_norm.weight"},
    part_names{part::key_norm, "self_attn.k_norm.weight", "attn_k_norm.weight"},
    part_names{part::feed_norm, "pre_feedforward_layernorm.weight", "ffn_norm.weight"},
    part_names{part::post_feed_norm, "post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
    part_names{part::gate, "mlp.gate_proj.weight", "ffn_gate.weight"},
    part_names{part::up, "mlp.up_proj.weight", "ffn_up.weight"},
    part_names{part::down, "mlp.down_proj.weight", "ffn_down.weight"},
    part_names{part::router, "router.proj.weight", "ffn_gate_inp.weight"},
    part_names{part::router_scale, "router.scale", "ffn_gate_inp.scale"},
    part_names{part::expert_scale, "router.per_expert_scale", "ffn_down_exps.scale"},
    part_names{part::experts_gate_up, "experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    part_names{part::experts_down, "experts.down_proj", "ffn_down_exps.weight"},
    part_names{part::dense_post_norm, "post_feedforward_layernorm_1.weight", "post_ffw_norm_1.weight"},
    part_names{part::experts_norm, "pre_feedforward_layernorm_2.weight", "pre_ffw_norm_2.weight"},
    part_names{part::experts_post_norm, "post_feedforward_layernorm_2.weight", "post_ffw_norm_2.weight"},
    part_names{part::stream_scale, "layer_scalar", "layer_output_scale.weight"},
    part_names{part::per_layer_gate, "per_layer_input_gate.weight", "inp_gate.weight"},
    part_names{part::per_layer_projection, "per_layer_projection.weight", "proj.weight"},
    part_names{part::post_per_layer_norm, "post_per_layer_input_norm.weight", "post_norm.weight"},
    part_names{part::altup_output_scale, "altup.correct_output_scale", "altup_correct_scale.weight"},
    part_names{part::altup_correct, "altup.correction_coefs.weight", "altup_correct_coef.weight"},
    part_names{part::altup_predict, "altup.prediction_coefs.weight", "altup_predict_coef.weight"},
    part_names{part::altup_router, "altup.modality_router.weight", "altup_router.weight"},
    part_names{part::altup_router_norm, "altup.router_norm.weight", "altup_router_norm.weight"},
    part_names{part::laurel_left, "laurel.linear_left.weight", "laurel_l.weight"},
    part_names{part::laurel_right, "laurel.linear_right.weight", "laurel_r.weight"},
    part_names{part::laurel_norm, "laurel.post_laurel_norm.weight", "laurel_post_norm.weight"},
    part_names{part::pre_projection, "pre_projection.weight", "nextn.pre_projection.weight"},
    part_names{part::post_projection, "post_projection.weight", "nextn.post_projection.weight"},
    part_names{part::centroids, "masked_embedding.centroids.weight", "masked_embd_centroids.weight"},
    part_names{part::token_ordering, "masked_embedding.token_ordering", "masked_embd_ordering"},
};

[[nodiscard]] constexpr const part_names& names_of(part what) {
  return *std::find_if(names.begin(), names.end(), [what](const part_names& n) { return n.what == what; });
}

/// Parts that stand outside the text model's prefix in a safetensors file.
[[nodiscard]] constexpr bool stands_outside(part what) {
  return what == part::head || what == part::pre_projection || what == part::post_projection ||
         what == part::centroids || what == part::token_ordering;
}

/// Where the text model lives in a safetensors file: multimodal files as transformers 5 writes them, text-only files,
/// bare encoders, and multimodal Gemma 3 as it was published.
inline constexpr std::array<std::string_view, 4> text_prefixes{"model.language_model.", "model.", "",
                                                               "language_model.model."};

/// The full name of a tensor; `number` replaces the '#' of a numbered one.
[[nodiscard]] inline std::string name_in(format f, std::string_view text_prefix, part what, int layer, int number = 0) {
  const part_names& n = names_of(what);
  std::string name;
  if (f == format::safetensors) {
    if (!stands_outside(what)) name += text_prefix;
    if (what == part::head && text_prefix == "language_model.model.") name += "language_model.";
    if (layer >= 0) name += "layers." + std::to_string(layer) + ".";
    name += n.safetensors;
  } else {
    if (layer >= 0) name += "blk." + std::to_string(layer) + ".";
    name += n.gguf;
  }
  if (const auto mark = name.find('#'); mark != std::string::npos) name.replace(mark, 1, std::to_string(number));
  return name;
}

/// Tensors that a file may hold beside the text model: image and sound towers, and tables that follow from the rest.
[[nodiscard]] inline bool is_skippable(format f, std::string_view name) {
  constexpr std::array<std::string_view, 9> towers{
      "model.vision_tower.", "model.embed_vision.",    "model.vision_embedder.",
      "model.audio_tower.",  "model.embed_audio.",     "model.multi_modal_projector.",
      "vision_tower.",       "multi_modal_projector.", "language_model.lm_head."};
  if (f == format::gguf) {
    return name == "rope_freqs.weight" || name == "output.weight" || name == "dense_2.weight" ||
           name == "dense_3.weight";
  }
  if (name == "lm_head.weight") return true;  // tied heads are sometimes written out
  return std::any_of(towers.begin(), towers.end(), [&](std::string_view t) { return name.starts_with(t); });
}

}  // namespace g4::load
