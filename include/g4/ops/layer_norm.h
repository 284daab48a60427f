/// Layer normalisation: rows of mean nought and variance one, scaled and moved.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// Normalises every row, then scales and moves it.
///
///     y[t] = (x[t] − mean(x[t])) / √(mean((x[t] − mean(x[t]))²) + eps) · weight + bias
///
/// x, y           [rows, width]   may be the same array
/// weight, bias   [width]; a null bias adds nothing
/// Source: torch.nn.LayerNorm (the variance is that of the row, not an estimate from it: divided by width).
template <class Scalar>
void layer_norm(const Scalar* x, const float* weight, const float* bias, std::size_t rows, std::size_t width, float eps,
                Scalar* y) {
  for (std::size_t t = 0; t < rows; ++t, x += width, y += width) {
    Scalar sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += x[i];
    const Scalar mean = sum / static_cast<Scalar>(width);
    Scalar squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const Scalar factor = 1 / std::sqrt(squares / static_cast<Scalar>(width) + static_cast<Scalar>(eps));
    for (std::size_t i = 0; i < width; ++i) {
      y[i] = (x[i] - mean) * factor * static_cast<Scalar>(weight[i]);
      if (bias != nullptr) y[i] += static_cast<Scalar>(bias[i]);
    }
  }
}

}  // namespace g4::ops
