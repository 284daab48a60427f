/// Softmax over a few numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace g4::ops {

/// x[i] = exp(x[i] − max x) / Σ_j exp(x[j] − max x), in place; n > 0.
template <class Scalar>
void softmax(Scalar* x, std::size_t n) {
  const Scalar largest = *std::max_element(x, x + n);
  Scalar sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - largest);
  for (std::size_t i = 0; i < n; ++i) x[i] /= sum;
}

}  // namespace g4::ops
