/// Keeping numbers within bounds.
#pragma once

#include <algorithm>
#include <cstddef>

namespace g4::ops {

/// y = min(max(x, least), most), element by element; x and y may be the same array.
template <class Scalar>
void keep_within(const Scalar* x, std::size_t n, float least, float most, Scalar* y) {
  const auto low = static_cast<Scalar>(least), high = static_cast<Scalar>(most);
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] < low ? std::min(low, high) : x[i] > high ? high : x[i];
}

}  // namespace g4::ops
