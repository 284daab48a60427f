/// A linear map whose rows may be kept within bounds, before and after.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>

#include "g4/model/tower/part.h"

namespace g4 {

/// y = clamp(W · clamp(x, input), output)
///
/// The bounds are numbers of the checkpoint; where it has none they are infinite.
/// Source: Gemma4ClippableLinear of transformers 5.23.0.
template <int Out, int In, bool Clipped>
struct clippable {
  struct bounds {
    vector<1> input_min, input_max, output_min, output_max;
  };
  struct no_bounds {};

  matrix<Out, In> weight;
  [[no_unique_address]] std::conditional_t<Clipped, bounds, no_bounds> within;

  /// Visits the tensors of the map with these names.
  template <class Visit>
  void each(Visit&& visit, const std::string& safetensors, const std::string& gguf) {
    visit(stage_tensor{safetensors + ".linear.weight", gguf + ".weight", stage_role::matrix, 2, {Out, In}}, weight);
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

  /// x [rows, In] → y [rows, Out]; `room` [rows, In] is worked in, and x is left as it is.
  template <class B>
  void run(B& on, const typename B::scalar* x, std::size_t rows, typename B::scalar* room,
           typename B::scalar* y) const {
    if constexpr (Clipped) {
      on.copy(x, rows * In, room);
      on.clamp(room, rows * In, within.input_min.data, within.input_max.data);
      x = room;
    }
    on.matmul(weight, x, rows, y);
    if constexpr (Clipped) on.clamp(y, rows * Out, within.output_min.data, within.output_max.data);
  }
};

}  // namespace g4
