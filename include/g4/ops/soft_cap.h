/// Bounding logits smoothly.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// x = cap · tanh(x / cap), element by element. Monotone: greedy choice cannot see it, sampling can. An infinity becomes
/// no number rather than the cap: it is an error's, and must be seen.
template <class Scalar>
void soft_cap(Scalar* x, std::size_t n, float cap) {
  const auto c = static_cast<Scalar>(cap);
  for (std::size_t i = 0; i < n; ++i) x[i] = c * std::tanh(x[i] / c) + 0 * x[i];
}

}  // namespace g4::ops
