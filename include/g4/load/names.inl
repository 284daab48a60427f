#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "g4/load/names.h"
#include "g4/model/schema.h"

namespace g4::load {

G4_INLINE std::string name_in(format f, std::string_view prefix, const part& what, int layer, int number) {
  std::string name;
  if (f == format::safetensors) {
    if (!what.outside) name += prefix;
    // A Gemma 3 with images, as it was published, keeps its head beside the model, not beside the language model.
    if (what.safetensors == "lm_head.weight" && prefix == "language_model.model.") name += "language_model.";
    if (layer >= 0) name += "layers." + std::to_string(layer) + ".";
    name += what.safetensors;
  } else {
    if (layer >= 0) name += "blk." + std::to_string(layer) + ".";
    name += what.gguf;
  }
  if (const auto mark = name.find('#'); mark != std::string::npos) name.replace(mark, 1, std::to_string(number));
  return name;
}

G4_INLINE std::string name_in(format f, std::string_view prefix, const tensor_entry& t, int number) {
  return name_in(f, prefix, t.what, t.layer, number);
}

/// Towers that have no schema yet, by the prefix of their tensors. A tower that has one names its tensors there.
inline constexpr std::array<std::string_view, 8> towers_without_schema{
    "model.vision_tower.", "model.embed_vision.",         "model.vision_embedder.", "model.audio_tower.",
    "model.embed_audio.",  "model.multi_modal_projector.", "vision_tower.",          "multi_modal_projector."};

G4_INLINE bool is_skippable(format f, std::string_view name) {
  const auto one_of = [name](auto... names) { return ((name == names) || ...); };
  if (f == format::gguf) {
    // The divisors of the frequencies are a tensor that says what a key could (`gguf_config.h`); a tied head may be
    // written out.
    bool known = one_of("rope_freqs.weight", "output.weight");
    text_spec pooled;
    pooled.pooled = pooled_spec{};
    each_head_part(pooled, [&](const tensor_entry& t, auto) { known = known || name == t.what.gguf; });
    return known;
  }
  return one_of("lm_head.weight", "language_model.lm_head.weight") ||
         std::any_of(towers_without_schema.begin(), towers_without_schema.end(),
                     [&](std::string_view tower) { return name.starts_with(tower); });
}

}  // namespace g4::load
