/// Operations that only towers use, as they are defined.
#pragma once

#include <cstddef>

#include "g4/ops/layer_norm.h"

namespace g4::backend {

/// The words of towers.
template <class Scalar>
struct tower_definitions {
  /// y[t] = (x[t] − mean) / √(variance + eps) · weight + bias; y may be x.
  void layer_norm(const Scalar* x, const float* weight, const float* bias, std::size_t rows, std::size_t width,
                  float eps, Scalar* y) {
    ops::layer_norm(x, weight, bias, rows, width, eps, y);
  }
};

}  // namespace g4::backend
