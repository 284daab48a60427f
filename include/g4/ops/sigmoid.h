/// Activations made of the logistic function, and the rectifier.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// σ(x) = 1 / (1 + exp(−x))
template <class Scalar>
[[nodiscard]] constexpr Scalar sigmoid(Scalar x) {
  return 1 / (1 + std::exp(-x));
}

/// x = x · σ(x), element by element.
template <class Scalar>
void silu(Scalar* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= sigmoid(x[i]);
}

/// x = max(x, 0), element by element; no number stays none.
template <class Scalar>
void relu(Scalar* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? Scalar(0) : x[i];
}

/// y[t, i] = x[t, i] · σ(x[t, width + i]): the second half of a row is the gate of the first.
///
/// x [rows, 2·width], y [rows, width]; not the same array
template <class Scalar>
void glu(const Scalar* x, std::size_t rows, std::size_t width, Scalar* y) {
  for (std::size_t t = 0; t < rows; ++t, x += 2 * width, y += width) {
    for (std::size_t i = 0; i < width; ++i) y[i] = x[i] * sigmoid(x[width + i]);
  }
}

}  // namespace g4::ops
