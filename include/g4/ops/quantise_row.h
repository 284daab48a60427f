/// Numbers as a cache stores them in blocks: the plain choice of step, since rows are written with every token. Weights,
/// which are written once, get a better one in quantise.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/core/small_float.h"
#include "g4/tensor/storage.h"

namespace g4 {

namespace block {

/// Thirty-two numbers as q·d with |q| ≤ 127, where d is the largest of them by 127, rounded to a half float: each is off
/// by at most d/2, and by d/2 + 127·2⁻¹¹·d where d's rounding cuts the largest short. Where one is no number, or infinite,
/// d is no number.
template <class Scalar>
void plain_q8_0(const Scalar* x, std::byte* out) {
  float most = 0.0f;
  float unsound = 0.0f;  // stays nought, but for what is no number
  for (std::size_t i = 0; i < 32; ++i) {
    const auto v = static_cast<float>(x[i]);
    most = std::max(most, std::abs(v));
    unsound += 0.0f * v;
  }
  const std::uint16_t bits = f16_from_float(std::min(most / 127.0f, 65504.0f) + unsound);
  const float d = float_from_f16(bits);
  const float inverse = d > 0.0f ? 1.0f / d : 0.0f;
  std::memcpy(out, &bits, sizeof bits);
  for (std::size_t i = 0; i < 32; ++i) {
    const float level = std::nearbyint(static_cast<float>(x[i]) * inverse);
    // A NaN becomes −127 rather than what its conversion would make of it.
    const auto q = static_cast<std::int8_t>(level >= -127.0f ? std::min(level, 127.0f) : -127.0f);
    std::memcpy(out + 2 + i, &q, 1);
  }
}

}  // namespace block

/// Writes numbers [elements], a whole number of blocks, as Q8_0.
template <class Scalar>
void quantise_q8_0(const Scalar* x, std::size_t elements, std::byte* out) {
  constexpr storage_facts facts = facts_of(storage::q8_0);
  for (std::size_t i = 0; i < elements / facts.block_elements; ++i) {
    block::plain_q8_0(x + i * facts.block_elements, out + i * facts.block_bytes);
  }
}

}  // namespace g4
