/// Operations that only towers use, as they are defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/ops/attend_near.h"
#include "g4/ops/convolve.h"
#include "g4/ops/cumulative_norm.h"
#include "g4/ops/gate.h"
#include "g4/ops/keep_within.h"
#include "g4/ops/layer_norm.h"
#include "g4/ops/plane.h"
#include "g4/ops/rope.h"
#include "g4/ops/sigmoid.h"
#include "g4/tensor/pass_row.h"

namespace g4::backend {

/// The words of towers.
template <class Scalar>
struct tower_definitions {
  /// y[t] = (x[t] − mean) / √(variance + eps) · weight + bias; y may be x, and a null bias adds nothing.
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
  /// y = min(max(x, low), high), both numbers of the checkpoint; y may be x.
  void clamp(const Scalar* x, std::size_t n, const float* low, const float* high, Scalar* y) {
    ops::keep_within(x, n, *low, *high, y);
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
  /// y = min(max(x, least), most); y may be x.
  void keep_within(const Scalar* x, std::size_t n, float least, float most, Scalar* y) {
    ops::keep_within(x, n, least, most, y);
  }
  /// x = x · σ(x)
  void silu(Scalar* x, std::size_t n) { ops::silu(x, n); }
  /// x = max(x, 0)
  void relu(Scalar* x, std::size_t n) { ops::relu(x, n); }
  /// y[t, i] = x[t, i] · σ(x[t, width + i]), x [T, 2·width]
  void glu(const Scalar* x, std::size_t rows, std::size_t width, Scalar* y) { ops::glu(x, rows, width, y); }
  /// Squares of a plane as rows: `ops/convolve.h`.
  void unfold(const Scalar* x, const ops::squares& s, std::size_t first, std::size_t rows, Scalar* y) {
    ops::unfold(x, s, first, rows, y);
  }
  /// The same of a plane that is covered whole, place by place: `ops/plane.h`.
  void unfold(const Scalar* x, const ops::plane& p, std::size_t first, std::size_t rows, Scalar* y) {
    ops::unfold(x, p, first, rows, y);
  }
  /// Every channel of a plane with its own kernel [side, side, channels]: `ops/plane.h`.
  void depthwise(const Scalar* x, const float* kernel, const ops::plane& p, Scalar* y) {
    ops::depthwise(x, kernel, p, 0, p.rows(), y);
  }
  /// y[t, 0 … width) = x[of[t]], in rows of `stride` numbers.
  void lay_beside(const Scalar* x, const token_id* of, std::size_t rows, std::size_t width, std::size_t stride,
                  Scalar* y) {
    ops::lay_beside(x, of, rows, width, stride, y);
  }
  /// Rows normed by all that was heard before them: `ops/cumulative_norm.h`; y may be x.
  void cumulative_norm(const Scalar* x, const ops::cumulative_norm& norm, std::size_t rows, Scalar* y) {
    std::vector<double> mean(rows), var(rows);
    ops::norm_cumulatively(norm, x, rows, mean.data(), var.data(), y, [&](auto&& of_row) {
      for (std::size_t t = 0; t < rows; ++t) of_row(t);
    });
  }
  /// Every channel with its own kernel [width, side], looking back: `ops/convolve.h`.
  void convolve_back(const Scalar* x, const float* kernel, std::size_t rows, std::size_t width, std::size_t side,
                     Scalar* y) {
    ops::convolve_back(x, kernel, 0, rows, width, side, y);
  }
  /// Attention among neighbours: `ops/attend_near.h`.
  void attend_near(const ops::near_attention<Scalar>& call) { ops::attend_near(call, 0, call.rows); }
};

}  // namespace g4::backend
