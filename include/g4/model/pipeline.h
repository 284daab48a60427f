/// The plan of a pipeline: which layers each rank has, and what that takes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "g4/model/schema.h"
#include "g4/model/split.h"
#include "g4/spec/pipeline.h"
#include "g4/tensor/storage.h"

namespace g4 {

/// A model is cut in front of this layer.
template <int Layer>
struct cut_before {
  static constexpr int layer = Layer;
};

/// A model in stages, one for each rank: the first has the layers in front of the first cut and embeds, the last has those behind
/// the last cut and the head. A row of the stream goes from rank to rank once for every cut.
///
///     sharded<gemma4_31b::text, pipeline<cut_before<30>>>                     two stages
///     sharded<gemma4_31b::text, pipeline<cut_before<20>, cut_before<40>>>     three
template <class... Cuts>
struct pipeline {
  static constexpr int ranks = 1 + static_cast<int>(sizeof...(Cuts));
  static constexpr g4::sums sums_are = sums::whole;
  /// Where a stage begins, and behind the last one what a model of so many layers ends with.
  [[nodiscard]] static constexpr std::array<int, ranks + 1> bounds(int layers) { return {0, Cuts::layer..., layers}; }
  [[nodiscard]] static constexpr layer_range layers_of(int stage, int layers) {
    return {bounds(layers)[static_cast<std::size_t>(stage)], bounds(layers)[static_cast<std::size_t>(stage) + 1]};
  }
};

/// Tensors outside the layers that one stage alone computes with. All others are on every stage: per-layer inputs are made from
/// the ids wherever layers need them, and rows of a table are read from the file.
struct stage_line {
  std::string_view part;  ///< as safetensors files call it
  bool first;             ///< the first stage's; else the last one's
};
inline constexpr std::array<stage_line, 4> stage_lines{{
    {"altup_projections.#.weight", true},
    {"altup_unembed_projections.#.weight", false},
    {"norm.weight", false},
    {"lm_head.weight", false},
}};

/// Whether a stage computes with a tensor. A tied table it may have for its rows alone.
///
/// stage   as `spec_of_a_stage` has it
[[nodiscard]] constexpr bool stage_has(const text_spec& stage, const tensor_entry& t) {
  if (t.layer >= 0) return stage.has(t.layer);
  for (const stage_line& line : stage_lines) {
    if (line.part == t.what.safetensors) return line.first ? stage.begins() : stage.ends();
  }
  return true;
}

/// How many numbers of a tensor a stage holds: of those in its memory, and of those it multiplies with where they lie.
[[nodiscard]] constexpr long long elements_of_a_stage(const text_spec& stage, const tensor_entry& t) {
  if (t.as == role::token_table) return stage.ends() && stage.tied_head ? t.elements() : 0;
  return t.as != role::table && stage_has(stage, t) ? t.elements() : 0;
}

/// Bytes of the weights that a stage holds, as the other `plan_weights` counts them.
[[nodiscard]] constexpr long long plan_weights_of_a_stage(const text_spec& stage, storage matrices, storage tables) {
  long long bytes = 0;
  each_tensor(stage, [&](const tensor_entry& t) {
    bytes += planned_bytes(t, elements_of_a_stage(stage, t), matrices, tables);
  });
  return bytes;
}

}  // namespace g4
