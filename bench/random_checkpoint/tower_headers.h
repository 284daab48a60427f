/// What a checkpoint says of its towers: a `tower_spec` as a part of config.json, the inverse of load/tower_config.h.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "g4/spec/tower.h"

namespace g4::bench {

namespace detail {

using nlohmann::ordered_json;

[[nodiscard]] inline double number(float value) { return static_cast<double>(value); }

[[nodiscard]] inline ordered_json siglip_config(const tower_spec& t) {
  const auto e = *t.find<stage::encoder>();
  return {{"model_type", "siglip_vision_model"},
          {"image_size", t.find<stage::square>()->side},
          {"patch_size", t.find<stage::patches>()->side},
          {"hidden_size", t.find<stage::linear>()->width},
          {"num_hidden_layers", e.layers},
          {"num_attention_heads", e.query_heads},
          {"intermediate_size", e.hidden},
          {"layer_norm_eps", number(e.norm_eps)},
          {"vision_use_head", false}};
}

[[nodiscard]] inline ordered_json gemma4_vision_config(const tower_spec& t) {
  const auto e = *t.find<stage::encoder>();
  return {{"model_type", "gemma4_vision"},
          {"patch_size", t.find<stage::patches>()->side},
          {"pooling_kernel_size", t.find<stage::mean_pooled>()->side},
          {"hidden_size", t.find<stage::linear>()->width},
          {"position_embedding_size", t.find<stage::per_axis>()->places},
          {"num_hidden_layers", e.layers},
          {"num_attention_heads", e.query_heads},
          {"num_key_value_heads", e.key_value_heads},
          {"head_dim", e.head_size},
          {"intermediate_size", e.hidden},
          {"rms_norm_eps", number(e.norm_eps)},
          {"use_clipped_linears", e.clipped},
          {"standardize", t.find<stage::standardised>().has_value()},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", number(e.rope_theta)}}}};
}

/// Of the 12B: patches straight into the text.
[[nodiscard]] inline ordered_json unified_vision_config(const tower_spec& t) {
  constexpr int pooled = 3;
  const int side = t.find<stage::patches>()->side, width = t.find<stage::linear>()->width;
  const bool whole = side % pooled == 0;
  return {{"model_type", "gemma4_unified_vision"},
          {"patch_size", whole ? side / pooled : side},
          {"pooling_kernel_size", whole ? pooled : 1},
          {"model_patch_size", side},
          {"mm_embed_dim", width},
          {"mm_posemb_size", t.find<stage::per_axis>()->places},
          {"output_proj_dims", width},
          {"rms_norm_eps", number(t.find<stage::into_text>()->eps)}};
}

/// A block as timm writes it.
[[nodiscard]] inline ordered_json block_config(const mobile_block& b) {
  if (b.kind == mobile::edge) {
    return {{"block_type", "er"},
            {"out_chs", b.channels},
            {"stride", b.stride},
            {"exp_kernel_size", b.side},
            {"exp_ratio", number(b.wider)}};
  }
  if (b.kind == mobile::bottleneck) {
    return {{"block_type", "uir"},
            {"out_chs", b.channels},
            {"stride", b.stride},
            {"dw_kernel_size_start", b.start},
            {"dw_kernel_size_mid", b.middle},
            {"exp_ratio", number(b.wider)}};
  }
  ordered_json j{{"block_type", "mqa"},    {"out_chs", b.channels},    {"num_heads", b.heads},
                 {"key_dim", b.head_size}, {"value_dim", b.head_size}, {"kv_stride", b.key_stride}};
  if (b.key_stride > 1) j["dw_kernel_size"] = b.side;
  return j;
}

[[nodiscard]] inline ordered_json mobilenet_config(const tower_spec& t) {
  const auto net = *t.find<stage::mobilenet>();
  const auto end = *t.find<stage::into_text_with_ids>();
  auto sizes = ordered_json::array();
  for (int e = 0; e < net.entries; e = net.turn_end(e)) {
    const mobile_block& first = net.block[static_cast<std::size_t>(e)];
    if (first.stride == 2) sizes.push_back(ordered_json::array());
    for (int round = 0; round < first.times; ++round) {
      for (int k = e; k < net.turn_end(e); ++k)
        sizes.back().push_back(block_config(net.block[static_cast<std::size_t>(k)]));
    }
  }
  ordered_json j{{"model_type", "gemma3n_vision"},
                 {"architecture", "mobilenetv5_300m_enc"},
                 {"hidden_size", net.fused},
                 {"vocab_offset", end.first},
                 {"vocab_size", end.count},
                 {"rms_norm_eps", number(end.eps)},
                 {"do_pooling", false}};
  j["model_args"] = {{"stem_size", net.stem}, {"msfa_output_resolution", net.side}, {"block_args", std::move(sizes)}};
  return j;
}

[[nodiscard]] inline ordered_json gemma4_audio_config(const tower_spec& t) {
  const auto c = *t.find<stage::conformer>();
  const auto convolved = *t.find<stage::subsample>();
  ordered_json j{{"model_type", "gemma4_audio"},
                 {"hidden_size", t.find<stage::linear>()->width},
                 {"num_hidden_layers", c.layers},
                 {"num_attention_heads", c.heads},
                 {"subsampling_conv_channels", {convolved.first, convolved.second}},
                 {"attention_chunk_size", c.chunk},
                 {"attention_context_left", c.past + 1},
                 {"attention_context_right", c.ahead},
                 {"attention_logit_cap", number(c.cap)},
                 {"conv_kernel_size", c.side},
                 {"residual_weight", number(c.residual)},
                 {"gradient_clipping", number(c.limit)},
                 {"use_clipped_linears", c.clipped},
                 {"rms_norm_eps", number(c.conv_eps)}};
  for (std::size_t i = 0; i < t.count; ++i) {  // the last linear map, behind the layers
    if (const auto* const out = std::get_if<stage::linear>(&t.stages[i])) j["output_proj_dims"] = out->width;
  }
  return j;
}

[[nodiscard]] inline ordered_json gemma3n_audio_config(const tower_spec& t) {
  const auto c = *t.find<stage::conformer>();
  const auto convolved = *t.find<stage::subsample>();
  const auto end = *t.find<stage::into_text_with_ids>();
  return {{"model_type", "gemma3n_audio"},
          {"hidden_size", t.find<stage::linear>()->width},
          {"input_feat_size", t.find<stage::log_mel>()->bins},
          {"conf_num_hidden_layers", c.layers},
          {"conf_num_attention_heads", c.heads},
          {"sscp_conv_channel_size", {convolved.first, convolved.second}},
          {"sscp_conv_group_norm_eps", number(convolved.eps)},
          {"conf_attention_context_left", c.past},
          {"conf_attention_context_right", c.ahead > 0 ? c.ahead - 1 : 0},
          {"conf_attention_logit_cap", number(c.cap)},
          {"conf_conv_kernel_size", c.side},
          {"conf_residual_weight", number(c.residual)},
          {"conf_reduction_factor", t.find<stage::every>()->of},
          {"gradient_clipping", number(c.limit)},
          {"rms_norm_eps", number(end.eps)},
          {"vocab_offset", end.first},
          {"vocab_size", end.count}};
}

}  // namespace detail

/// vision_config, of any picture tower.
[[nodiscard]] inline nlohmann::ordered_json vision_config(const tower_spec& t) {
  if (t.find<stage::mobilenet>().has_value()) return detail::mobilenet_config(t);
  if (t.find<stage::square>().has_value()) return detail::siglip_config(t);
  if (t.find<stage::encoder>().has_value()) return detail::gemma4_vision_config(t);
  return detail::unified_vision_config(t);
}

/// audio_config, of any sound tower.
[[nodiscard]] inline nlohmann::ordered_json audio_config(const tower_spec& t) {
  if (t.find<stage::into_text_with_ids>().has_value()) return detail::gemma3n_audio_config(t);
  if (t.find<stage::conformer>().has_value()) return detail::gemma4_audio_config(t);
  const int samples = t.find<stage::frames>()->samples;
  return {{"model_type", "gemma4_unified_audio"},
          {"audio_embed_dim", samples},
          {"rms_norm_eps", static_cast<double>(t.find<stage::into_text>()->eps)}};
}

}  // namespace g4::bench
