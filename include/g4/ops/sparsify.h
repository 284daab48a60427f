/// Gaussian top-k: keeping the largest share of a row without sorting it.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// The z with Φ(z) = p for the standard normal distribution, 0 < p < 1: Newton's method on erfc, to double precision.
[[nodiscard]] inline double normal_quantile(double p) {
  constexpr double root_two = 1.4142135623730950488;
  constexpr double root_two_pi = 2.5066282746310005024;
  double z = 0;
  for (int step = 0; step < 64; ++step) {
    const double error = std::erfc(-z / root_two) / 2 - p;
    double move = error * root_two_pi * std::exp(z * z / 2);
    if (move > 1) move = 1;  // far in the tail the tangent overshoots
    if (move < -1) move = -1;
    z -= move;
    if (std::abs(move) < 1e-15) break;
  }
  return z;
}

/// Keeps what lies above the row's mean by more than `z` standard deviations, and only the part above.
///
///     x[t, i] = relu(x[t, i] − (mean(x[t]) + z·std(x[t])))        std is the biased one (divided by n)
///
/// x   [tokens, n]   in place; the statistics run over the layer's whole width
/// Source: transformers 5.23.0, Gemma3nTextMLP._gaussian_topk.
template <class Scalar>
void sparsify(Scalar* x, std::size_t tokens, std::size_t n, float z) {
  for (std::size_t t = 0; t < tokens; ++t, x += n) {
    Scalar mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += x[i];
    mean /= static_cast<Scalar>(n);
    Scalar variance = 0;
    for (std::size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
    variance /= static_cast<Scalar>(n);
    const Scalar cutoff = mean + static_cast<Scalar>(z) * std::sqrt(variance);
    for (std::size_t i = 0; i < n; ++i) x[i] = x[i] <= cutoff ? Scalar{0} : x[i] - cutoff;  // a NaN stays one
  }
}

}  // namespace g4::ops
