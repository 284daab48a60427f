/// What each file format calls a stage of a tower, and what a tap shows it as.
///
/// Where a stage stands says what it is called: of three equal norms the one in front of the linear map is another
/// tensor than the one behind it.
/// Source: the checkpoints of transformers 5.23.0 and the tensor names of mmproj GGUF files (docs/formats.md).
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <variant>

#include "g4/model/tower/part.h"
#include "g4/spec/tower.h"

namespace g4 {

/// Names of a stage; those of its tensors go on behind them.
struct stage_names {
  const char* shown = "";
  std::string_view safetensors;
  std::string_view gguf;
};

namespace detail {

/// The patches of the 12B, which go straight into the text.
[[nodiscard]] constexpr stage_names patch_names(const tower_spec& t, std::size_t i) {
  const auto is_before = [&]<class Stage>(std::in_place_type_t<Stage>) {
    return i + 1 < t.count && std::holds_alternative<Stage>(t.stages[i + 1]);
  };
  if (std::holds_alternative<stage::layer_norm>(t.stages[i])) {
    if (is_before(std::in_place_type<stage::linear>))
      return {"vision.patch_ln1", "vision_embedder.patch_ln1", "v.patch_norm.1"};
    if (is_before(std::in_place_type<stage::per_axis>))
      return {"vision.patch_ln2", "vision_embedder.patch_ln2", "v.patch_norm.2"};
    return {"vision.pos_norm", "vision_embedder.pos_norm", "v.patch_norm.3"};
  }
  if (std::holds_alternative<stage::linear>(t.stages[i]))
    return {"vision.patch_dense", "vision_embedder.patch_dense", "v.patch_embd"};
  if (std::holds_alternative<stage::per_axis>(t.stages[i]))
    return {"vision.pos_embedding", "vision_embedder.pos_embedding", "v.position_embd"};
  return {"vision.soft_tokens", "embed_vision.embedding_projection", "mm.input_projection"};
}

/// The picture tower of Gemma 3.
[[nodiscard]] constexpr stage_names square_names(const tower_spec& t, std::size_t i) {
  const stage_spec& is = t.stages[i];
  if (std::holds_alternative<stage::linear>(is))
    return {"", "vision_tower.embeddings.patch_embedding", "v.patch_embd"};
  if (std::holds_alternative<stage::learned>(is))
    return {"vision.patch_embed", "vision_tower.embeddings.position_embedding", "v.position_embd"};
  if (std::holds_alternative<stage::encoder>(is)) return {"vision.layer", "vision_tower.encoder.", "v."};
  if (std::holds_alternative<stage::layer_norm>(is))
    return {"vision.tower_out", "vision_tower.post_layernorm", "v.post_ln"};
  if (std::holds_alternative<stage::into_text>(is)) return {"vision.soft_tokens", "multi_modal_projector.", "mm."};
  return {};
}

/// The picture towers with layers.
[[nodiscard]] constexpr stage_names encoder_names(const tower_spec& t, std::size_t i) {
  const stage_spec& is = t.stages[i];
  const bool ends = i + 1 < t.count && std::holds_alternative<stage::into_text>(t.stages[i + 1]);
  const char* const shown = ends ? "vision.tower_out" : "";
  if (std::holds_alternative<stage::linear>(is)) return {"", "vision_tower.patch_embedder.input_proj", "v.patch_embd"};
  if (std::holds_alternative<stage::per_axis>(is)) {
    return {"vision.patch_embed", "vision_tower.patch_embedder.position_embedding_table", "v.position_embd"};
  }
  if (std::holds_alternative<stage::encoder>(is)) return {"vision.layer", "vision_tower.encoder.", "v."};
  if (std::holds_alternative<stage::standardised>(is)) return {shown, "vision_tower.", "v."};
  if (std::holds_alternative<stage::into_text>(is)) {
    return {"vision.soft_tokens", "embed_vision.embedding_projection", "mm.input_projection"};
  }
  return {shown, "", ""};
}

/// The picture tower of Gemma 3n.
[[nodiscard]] constexpr stage_names mobilenet_names(const tower_spec& t, std::size_t i) {
  if (std::holds_alternative<stage::mobilenet>(t.stages[i]))
    return {"vision.tower_out", "vision_tower.timm_model.", "v."};
  if (std::holds_alternative<stage::into_text_with_ids>(t.stages[i]))
    return {"vision.soft_tokens", "embed_vision.", "mm."};
  return {};
}

/// The conformers of Gemma 4 E2B and E4B, which have a linear map in front and one behind, and of Gemma 3n, which has none
/// behind and an embedder with tokens of its own.
[[nodiscard]] constexpr stage_names conformer_names(const tower_spec& t, std::size_t i) {
  const bool gemma3n = t.find<stage::into_text_with_ids>().has_value();
  if (std::holds_alternative<stage::subsample>(t.stages[i])) {
    return {"audio.convolved",
            gemma3n ? "audio_tower.subsample_conv_projection.conv_" : "audio_tower.subsample_conv_projection.layer",
            "a.conv1d."};
  }
  if (std::holds_alternative<stage::conformer>(t.stages[i]))
    return {"audio.layer", gemma3n ? "audio_tower.conformer." : "audio_tower.layers.", "a.blk."};
  if (std::holds_alternative<stage::every>(t.stages[i])) return {"audio.tower_out", "", ""};
  if (std::holds_alternative<stage::into_text_with_ids>(t.stages[i]))
    return {"audio.soft_tokens", "embed_audio.", "mm.a."};
  if (std::holds_alternative<stage::into_text>(t.stages[i])) {
    return {"audio.soft_tokens", "embed_audio.embedding_projection", "mm.a.input_projection"};
  }
  for (std::size_t k = 0; k < i; ++k) {
    if (std::holds_alternative<stage::conformer>(t.stages[k]))
      return {"audio.tower_out", "audio_tower.output_proj", "a.pre_encode.out"};
  }
  return {"audio.subsample", "audio_tower.subsample_conv_projection.input_proj_linear", "a.input_projection"};
}

}  // namespace detail

/// The names of stage `i`.
[[nodiscard]] constexpr stage_names names_of(const tower_spec& t, std::size_t i) {
  if (t.find<stage::mobilenet>().has_value()) return detail::mobilenet_names(t, i);
  if (t.find<stage::square>().has_value()) return detail::square_names(t, i);
  if (t.find<stage::encoder>().has_value()) return detail::encoder_names(t, i);
  if (t.find<stage::patches>().has_value()) return detail::patch_names(t, i);
  if (t.find<stage::conformer>().has_value()) return detail::conformer_names(t, i);
  return {"audio.soft_tokens", "embed_audio.embedding_projection", "mm.a.input_projection"};
}

/// A tensor of a stage under its whole names.
[[nodiscard]] inline stage_tensor named(const stage_names& names, stage_tensor t) {
  t.safetensors.insert(0, names.safetensors);
  t.gguf.insert(0, names.gguf);
  return t;
}

/// What a tower's tensors begin with in a format: nothing else of a file may begin so.
[[nodiscard]] constexpr std::array<std::string_view, 2> safetensors_rooms(const tower_spec& t) {
  if (t.find<stage::mobilenet>().has_value()) return {"vision_tower.", "embed_vision."};
  if (t.find<stage::square>().has_value()) return {"vision_tower.", "multi_modal_projector."};
  if (t.find<stage::encoder>().has_value()) return {"vision_tower.", "embed_vision."};
  if (t.find<stage::patches>().has_value()) return {"vision_embedder.", "embed_vision."};
  if (t.find<stage::conformer>().has_value()) return {"audio_tower.", "embed_audio."};
  return {"embed_audio.", "audio_embedder."};
}

/// Whether the numbers of a patch lie colour by colour in a file's weights: as a convolution has them.
[[nodiscard]] constexpr bool colours_lie_apart(const tower_spec& t, bool gguf) {
  return !t.find<stage::mobilenet>().has_value() && (gguf || t.find<stage::square>().has_value());
}

/// Whether a table of places has all columns first and all rows after them: [2, places, width], and not [places, 2, width].
[[nodiscard]] constexpr bool places_by_axis(const tower_spec& t, bool gguf) {
  return gguf || t.find<stage::encoder>().has_value();
}

}  // namespace g4
