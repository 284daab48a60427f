/// A linear map of a tower's layers, with a bias or within bounds where the tower has them.
#pragma once

#include <cstddef>
#include <string>

#include "g4/model/stack/linear.h"
#include "g4/model/tower/part.h"
#include "g4/tensor/present.h"

namespace g4 {

/// y = clamp(W · clamp(x, input) + bias, output)
///
/// The bounds are numbers of the checkpoint; where it has none they are infinite.
/// Source: Gemma4ClippableLinear of transformers 5.23.0.
template <int Out, int In, bool Clipped, bool Biased = false>
struct clippable {
  static constexpr int out = Out;
  static constexpr bool clipped = Clipped;
  struct bounds {
    vector<1> input_min, input_max, output_min, output_max;
  };

  matrix<Out, In> weight;
  [[no_unique_address]] present_if<Biased, vector<Out>> bias;
  [[no_unique_address]] present_if<Clipped, bounds> within;

  /// Visits the tensors of the map with these names.
  ///
  /// inner   what stands between the map's name and its weight's in safetensors
  template <class Visit>
  void each(Visit&& visit, const std::string& safetensors, const std::string& gguf, const std::string& inner) {
    visit(stage_tensor{safetensors + inner + ".weight", gguf + ".weight", stage_role::matrix, 2, {Out, In}}, weight);
    if constexpr (Biased) {
      visit(stage_tensor{safetensors + inner + ".bias", gguf + ".bias", stage_role::bias, 1, {Out}}, bias);
    }
    if constexpr (Clipped) {
      const auto bound = [&](const char* name, vector<1>& at) {
        visit(stage_tensor{safetensors + name, gguf + name, stage_role::bound, 1, {1}}, at);
      };
      bound(".input_min", within.input_min);
      bound(".input_max", within.input_max);
      bound(".output_min", within.output_min);
      bound(".output_max", within.output_max);
    }
  }

  /// x [n, In] → y [n, Out]; `room` [n, In] is worked in where the map is clipped, and x is left as it is.
  template <class B>
  void run(B& on, const typename B::scalar* x, std::size_t n, typename B::scalar* room, typename B::scalar* y) const {
    if constexpr (Clipped) {
      on.clamp(x, n * In, within.input_min.data, within.input_max.data, room);
      x = room;
    }
    on.matmul(weight, x, n, y);
    finish(on, n, y);
  }
  /// What follows the product.
  template <class B>
  void finish(B& on, std::size_t n, typename B::scalar* y) const {
    if constexpr (Biased) on.add_bias(y, bias.data, n, Out);
    if constexpr (Clipped) on.clamp(y, n * Out, within.output_min.data, within.output_max.data, y);
  }
};

/// A map and where its rows go.
template <class Map, class Scalar>
struct mapped {
  const Map& map;
  Scalar* y;
};
template <class Map, class Scalar>
mapped(const Map&, Scalar*) -> mapped<Map, Scalar>;

/// Several maps of one input: in one step where nothing is clamped, since each has bounds of its own.
template <class B, int In, class Scalar, class... Map>
void clippables(B& on, rows<In, Scalar> x, Scalar* room, const mapped<Map, Scalar>&... several) {
  if constexpr ((Map::clipped || ...)) {
    (several.map.run(on, x.data, x.count, room, several.y), ...);
  } else {
    linears(on, x, product{several.map.weight, rows<Map::out, Scalar>{several.y, x.count}}...);
    (several.map.finish(on, x.count, several.y), ...);
  }
}

}  // namespace g4
