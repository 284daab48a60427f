/// The order in which a convolution's weights are read.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace g4::load {

/// A convolution's weights [out, in, places] as [out, places, in], which is how squares of a plane lie (`ops/plane.h`).
[[nodiscard]] inline std::vector<float> place_by_place(std::span<const float> weights, std::size_t out,
                                                       std::size_t in) {
  const std::size_t places = weights.size() / out / in;
  std::vector<float> turned(weights.size());
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t p = 0; p < places; ++p) turned[(o * places + p) * in + i] = weights[(o * in + i) * places + p];
    }
  }
  return turned;
}

}  // namespace g4::load
