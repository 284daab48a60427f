/// Root-mean-square normalisation, the only norm of the text models.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// Normalises every row to unit root mean square, then scales it.
///
///     y[t] = x[t] · (mean(x[t]²) + eps)^(-½) · scale
///
/// x, y    [tokens, width]   may be the same array
/// scale   [width], or null for the weightless norms (value norms, router input). Whether a checkpoint's weight w means
///         w or 1 + w was settled when it was loaded (`policy/norm.h`).
/// Source: transformers 5.23.0, Gemma4RMSNorm, Gemma3RMSNorm (eps sits inside the root).
template <class Scalar>
void rms_norm(const Scalar* x, const float* scale, std::size_t tokens, std::size_t width, float eps, Scalar* y) {
  for (std::size_t t = 0; t < tokens; ++t, x += width, y += width) {
    Scalar squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += x[i] * x[i];
    const Scalar factor = 1 / std::sqrt(squares / static_cast<Scalar>(width) + static_cast<Scalar>(eps));
    for (std::size_t i = 0; i < width; ++i) {
      y[i] = x[i] * factor;
      if (scale != nullptr) y[i] *= static_cast<Scalar>(scale[i]);
    }
  }
}

}  // namespace g4::ops
