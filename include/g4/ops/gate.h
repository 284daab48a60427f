/// The gated feed-forward's nonlinearity.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// GELU in its tanh form.
///
///     gelu_tanh(x) = ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
template <class Scalar>
[[nodiscard]] constexpr Scalar gelu_tanh(Scalar x) {
  constexpr auto root_two_over_pi = static_cast<Scalar>(0.7978845608028653559);
  constexpr auto cubic = static_cast<Scalar>(0.044715);
  return x / 2 * (1 + std::tanh(root_two_over_pi * (x + cubic * x * x * x)));
}

/// gate[i] = activation(gate[i]) · up[i], for a model author's own activation.
template <class Activation, class Scalar>
void gate(Activation activation, Scalar* gate, const Scalar* up, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) gate[i] = activation(gate[i]) * up[i];
}

}  // namespace g4::ops
