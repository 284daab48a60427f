/// How far apart the distributions are that two rows of logits stand for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace g4::ops {

/// log Σ_i exp(x[i]), in double; n > 0.
template <class Scalar>
[[nodiscard]] double log_sum_exp(const Scalar* x, std::size_t n) {
  const auto largest = static_cast<double>(*std::max_element(x, x + n));
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - largest);
  return largest + std::log(sum);
}

/// KL(p ‖ q) = Σ_i p_i · (log p_i − log q_i) in nats, with p = softmax(expected) and q = softmax(found); n > 0.
template <class Scalar>
[[nodiscard]] double kl_divergence(const Scalar* expected, const Scalar* found, std::size_t n) {
  const double of_expected = log_sum_exp(expected, n);
  const double of_found = log_sum_exp(found, n);
  double kl = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double log_p = static_cast<double>(expected[i]) - of_expected;
    kl += std::exp(log_p) * (log_p - (static_cast<double>(found[i]) - of_found));
  }
  return kl;
}

}  // namespace g4::ops
