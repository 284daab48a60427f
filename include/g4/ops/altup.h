/// Alternating updates: several residual streams, of which one is computed and the others are predicted.
///
/// Source: transformers 5.23.0, Gemma3nTextAltUp and Gemma3nTextModel. Streams are [streams][tokens, width]; stream 0 is
/// the active one in every released model.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// p[j] = h[j] + Σ_i R[j, i]·h[i], token by token.
///
/// h, p          [streams, tokens, width]
/// coefficient   [tokens, streams·streams], read as R[j, i] row-major
template <class Scalar>
void altup_predict(const Scalar* h, const Scalar* coefficient, std::size_t streams, std::size_t tokens,
                   std::size_t width, Scalar* p) {
  const std::size_t stride = tokens * width;
  for (std::size_t j = 0; j < streams; ++j) {
    for (std::size_t t = 0; t < tokens; ++t) {
      const Scalar* r = coefficient + (t * streams + j) * streams;
      for (std::size_t e = 0; e < width; ++e) {
        Scalar sum = 0;
        for (std::size_t i = 0; i < streams; ++i) sum += r[i] * h[i * stride + t * width + e];
        p[j * stride + t * width + e] = h[j * stride + t * width + e] + sum;
      }
    }
  }
}

/// h[j] = p[j] + (y − p[active])·(c[j] + 1), token by token.
///
/// p, h          [streams, tokens, width]   may be the same array
/// y             [tokens, width]            what the layer computed for the active stream
/// coefficient   [tokens, streams]
template <class Scalar>
void altup_correct(const Scalar* p, const Scalar* y, const Scalar* coefficient, std::size_t streams, std::size_t active,
                   std::size_t tokens, std::size_t width, Scalar* h) {
  const std::size_t stride = tokens * width;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t e = 0; e < width; ++e) {
      const std::size_t at = t * width + e;
      const Scalar innovation = y[at] - p[active * stride + at];
      for (std::size_t j = 0; j < streams; ++j) {
        h[j * stride + at] = p[j * stride + at] + innovation * (coefficient[t * streams + j] + 1);
      }
    }
  }
}

/// Gives every row of x the root mean square of the same row of `model`.
///
///     x[t] = x[t] · √mean(model[t]²) / √max(mean(x[t]²), 1e-5)
template <class Scalar>
void match_magnitude(const Scalar* model, std::size_t tokens, std::size_t width, Scalar* x) {
  for (std::size_t t = 0; t < tokens; ++t, model += width, x += width) {
    Scalar wanted = 0;
    Scalar found = 0;
    for (std::size_t i = 0; i < width; ++i) {
      wanted += model[i] * model[i];
      found += x[i] * x[i];
    }
    wanted /= static_cast<Scalar>(width);
    found /= static_cast<Scalar>(width);
    constexpr auto floor = static_cast<Scalar>(1e-5);
    const Scalar factor = std::sqrt(wanted) / std::sqrt(found > floor ? found : floor);
    for (std::size_t i = 0; i < width; ++i) x[i] *= factor;
  }
}

}  // namespace g4::ops
