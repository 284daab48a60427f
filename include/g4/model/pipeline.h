/// The plan of a pipeline: which layers each rank has, and what that takes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "g4/core/result.h"
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

/// `open_in_stages<…, pipelines<pipeline<cut_before<7>>, …>>(…)`: these are compiled as well.
template <class... Pipelines>
struct pipelines {};

/// Where a model can be cut, in words.
[[nodiscard]] inline std::string where_it_can_be_cut(const stack_spec& m) {
  const int last = last_cut(m);
  if (last == 0) return "nowhere";
  return last == 1 ? "before layer 1" : "before layers 1 to " + std::to_string(last);
}

/// Refuses cuts that do not follow each other, or that part a reader of keys and values from their producer.
[[nodiscard]] inline result<void> check_cuts(const stack_spec& m, std::span<const int> cuts) {
  int before = 0;
  for (const int cut : cuts) {
    if (cut <= before) {
      return fail(before == 0 ? "a cut stands before a layer other than the first" : "every cut stands behind the one before it");
    }
    before = cut;
    if (can_be_cut_before(m, cut)) continue;
    std::string why;
    for (int l = cut; l < m.layers && why.empty(); ++l) {
      if (m.producer[l] < cut) {
        why = ": layer " + std::to_string(l) + " reads the keys and values of layer " + std::to_string(m.producer[l]);
      }
    }
    return fail("it cannot be cut before layer ", cut, ", only ", where_it_can_be_cut(m), why);
  }
  return {};
}

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

/// Bytes of a model's weights by where stages have them.
struct weights_of_stages {
  std::array<long long, max_layers + 1> before{};  ///< of the layers before one
  long long first = 0;                             ///< besides, of the first stage
  long long last = 0;                              ///< of the last
  long long each = 0;                              ///< of every one
  int layers = 0;

  /// What a stage has, of two or more.
  [[nodiscard]] constexpr long long of(layer_range stage) const {
    return before[static_cast<std::size_t>(stage.end)] - before[static_cast<std::size_t>(stage.first)] + each +
           (stage.first == 0 ? first : 0) + (stage.end == layers ? last : 0);
  }
};

/// bytes_of   of a `tensor_entry`: what it takes where a stage holds it
template <class Bytes>
[[nodiscard]] constexpr weights_of_stages weigh_for_stages(const text_spec& m, Bytes&& bytes_of) {
  const text_spec front = spec_of_a_stage(m, 2, {0, 1}), back = spec_of_a_stage(m, 2, {1, m.layers});
  weights_of_stages w;
  w.layers = m.layers;
  each_tensor(m, [&](const tensor_entry& t) {
    if (t.layer >= 0) {
      w.before[static_cast<std::size_t>(t.layer) + 1] += bytes_of(t);
      return;
    }
    const bool in_front = elements_of_a_stage(front, t) > 0, behind = elements_of_a_stage(back, t) > 0;
    if (in_front || behind) (!behind ? w.first : !in_front ? w.last : w.each) += bytes_of(t);
  });
  for (std::size_t l = 1; l <= static_cast<std::size_t>(m.layers); ++l) w.before[l] += w.before[l - 1];
  return w;
}

/// The most even pipeline of so many stages: the heaviest stage is as light as can be, then the heaviest of those in front of it,
/// and so on; where that leaves a choice, cuts are early.
///
/// last      the last layer that the model can be cut before, Stages − 1 or more
/// returns   where each stage begins, and behind the last one the number of layers
template <int Stages>
[[nodiscard]] constexpr std::array<int, Stages + 1> most_even(const weights_of_stages& w, int last) {
  struct ending {            // of k stages, before some layer
    long long heaviest = 0;  // of the k, as light as can be
    int begins = 0;          // the last of them
  };
  std::array<std::array<ending, max_layers + 1>, Stages + 1> best{};
  const auto of = [&best](int k, int end) -> ending& {
    return best[static_cast<std::size_t>(k)][static_cast<std::size_t>(end)];
  };
  for (int end = 1; end <= last; ++end) of(1, end).heaviest = w.of({0, end});
  const auto append = [&](int k, int end) {
    for (int cut = k - 1; cut <= std::min(end - 1, last); ++cut) {
      const long long heaviest = std::max(of(k - 1, cut).heaviest, w.of({cut, end}));
      if (cut == k - 1 || heaviest < of(k, end).heaviest) of(k, end) = {heaviest, cut};
    }
  };
  for (int k = 2; k < Stages; ++k) {
    for (int end = k; end <= last; ++end) append(k, end);
  }
  append(Stages, w.layers);
  std::array<int, Stages + 1> bounds{};
  bounds[Stages] = w.layers;
  for (int k = Stages; k > 1; --k) {
    bounds[static_cast<std::size_t>(k) - 1] = of(k, bounds[static_cast<std::size_t>(k)]).begins;
  }
  return bounds;
}

namespace detail {

template <class V, int Stages, int... I>
constexpr auto cut_evenly(std::integer_sequence<int, I...>) {
  constexpr auto in_bfloat16 = [](const tensor_entry& t) {
    return planned_bytes(t, t.elements(), storage::bf16, storage::bf16);
  };
  constexpr auto bounds = most_even<Stages>(weigh_for_stages(V::spec, in_bfloat16), last_cut(V::spec));
  return pipeline<cut_before<bounds[I + 1]>...>{};
}

}  // namespace detail

/// V in so many stages, as even as its weights in bfloat16 can be cut: what `g4 inspect --variant NAME --cuts` shows.
template <class V, int Stages>
using even_pipeline = decltype(detail::cut_evenly<V, Stages>(std::make_integer_sequence<int, Stages - 1>{}));

}  // namespace g4
