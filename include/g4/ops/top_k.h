/// The k largest of n numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace g4::ops {

/// Indices of the k largest values, in descending order of value; of equal values the lower index comes first.
///
/// values   [n]
/// chosen   [k], k ≤ n
template <class Scalar>
constexpr void top_k(const Scalar* values, std::size_t n, std::size_t k, std::int32_t* chosen) {
  std::size_t filled = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t place = filled;
    while (place > 0 && values[i] > values[chosen[place - 1]]) --place;
    if (place >= k) continue;
    if (filled < k) ++filled;
    for (std::size_t j = filled - 1; j > place; --j) chosen[j] = chosen[j - 1];
    chosen[place] = static_cast<std::int32_t>(i);
  }
}

}  // namespace g4::ops
