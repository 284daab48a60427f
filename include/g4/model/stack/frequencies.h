/// Rotary frequencies of a kind of layer.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "g4/spec/stack.h"

namespace g4 {

/// f[i] = theta^(−2i/d) / factor for i < ⌊fraction·d/2⌋, then 0: pairs that are not turned.
///
/// The exponent is divided by the whole head size d even when only a fraction of the pairs turns ("proportional").
/// Source: transformers 5.23.0, modeling_rope_utils.py.
[[nodiscard]] inline std::vector<double> rope_frequencies(const rope_spec& rope, int head_size) {
  const auto half = static_cast<std::size_t>(head_size) / 2;
  const auto turning = static_cast<std::size_t>(rope.fraction * static_cast<float>(half));
  const auto theta = static_cast<double>(rope.theta);
  std::vector<double> f(half, 0.0);
  for (std::size_t i = 0; i < turning; ++i) {
    f[i] = std::pow(theta, -2.0 * static_cast<double>(i) / head_size) / static_cast<double>(rope.factor);
  }
  return f;
}

}  // namespace g4
