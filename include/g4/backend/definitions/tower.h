/// Operations that only towers use, as they are defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "g4/ops/gate.h"
#include "g4/ops/layer_norm.h"
#include "g4/ops/rope.h"
#include "g4/tensor/pass_row.h"

namespace g4::backend {

/// The words of towers.
template <class Scalar>
struct tower_definitions {
  /// y[t] = (x[t] − mean) / √(variance + eps) · weight + bias; y may be x.
  void layer_norm(const Scalar* x, const float* weight, const float* bias, std::size_t rows, std::size_t width,
                  float eps, Scalar* y) {
    ops::layer_norm(x, weight, bias, rows, width, eps, y);
  }
  /// x = 2·(x − ½)
  void centre(Scalar* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) x[i] = 2 * (x[i] - Scalar(0.5));
  }
  /// x = gelu_tanh(x)
  void gelu(Scalar* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) x[i] = ops::gelu_tanh(x[i]);
  }
  /// x = min(max(x, low), high), both numbers of the checkpoint
  void clamp(Scalar* x, std::size_t n, const float* low, const float* high) {
    const auto least = static_cast<Scalar>(*low), most = static_cast<Scalar>(*high);
    for (std::size_t i = 0; i < n; ++i) x[i] = std::min(std::max(x[i], least), most);
  }
  /// y[t] = (y[t] − bias) · scale
  void standardise(Scalar* y, const float* bias, const float* scale, std::size_t rows, std::size_t width) {
    for (std::size_t t = 0; t < rows; ++t, y += width) {
      for (std::size_t i = 0; i < width; ++i) {
        y[i] = (y[i] - static_cast<Scalar>(bias[i])) * static_cast<Scalar>(scale[i]);
      }
    }
  }
  /// Rotates both halves of every head, each by its own axis: see `ops/rope.h`.
  void rope_2d(Scalar* x, std::size_t rows, std::size_t heads, std::size_t d, const Scalar* cos, const Scalar* sin) {
    ops::rope_2d(x, rows, heads, d, cos, sin);
  }
  /// y[g] = Σ_j x[of[g, j]] / size, in groups of `size` rows.
  void mean_groups(const Scalar* x, const token_id* of, std::size_t groups, std::size_t size, std::size_t width,
                   Scalar* y) {
    for (std::size_t g = 0; g < groups; ++g, y += width, of += size) {
      std::fill_n(y, width, Scalar(0));
      for (std::size_t j = 0; j < size; ++j) {
        const Scalar* const row = x + static_cast<std::size_t>(of[j]) * width;
        for (std::size_t i = 0; i < width; ++i) y[i] += row[i];
      }
      for (std::size_t i = 0; i < width; ++i) y[i] /= static_cast<Scalar>(size);
    }
  }
};

}  // namespace g4::backend
