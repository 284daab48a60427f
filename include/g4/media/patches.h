/// A picture cut into squares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/media/picture.h"
#include "g4/tensor/place.h"

namespace g4::media {

/// The picture's squares of side × side pixels, row by row: [h/side · w/side, 3·side²], in 0 … 1.
///
/// x              its sides are multiples of `side`
/// colours_apart  a row holds all of a square's red, then green, then blue, and not the three of a pixel side by side
[[nodiscard]] inline std::vector<float> cut(const picture& x, std::size_t side, bool colours_apart = false) {
  constexpr float step = 1.0f / 255.0f;
  std::vector<float> rows;
  rows.reserve(x.rgb.size());
  const auto pixel = [&](std::size_t row, std::size_t column, std::size_t colour) {
    rows.push_back(static_cast<float>(x.rgb[(row * x.width + column) * 3 + colour]) * step);
  };
  for (std::size_t top = 0; top + side <= x.height; top += side) {
    for (std::size_t left = 0; left + side <= x.width; left += side) {
      for (std::size_t outer = 0; outer < (colours_apart ? 3 : 1); ++outer) {
        for (std::size_t i = 0; i < side; ++i) {
          for (std::size_t j = 0; j < side; ++j) {
            for (std::size_t c = 0; c < (colours_apart ? 1 : 3); ++c) pixel(top + i, left + j, outer + c);
          }
        }
      }
    }
  }
  return rows;
}

/// Where each square lies, in the order of `cut`, counted in squares.
[[nodiscard]] inline std::vector<place> places_of(const picture& x, std::size_t side) {
  std::vector<place> places;
  for (std::size_t row = 0; row < x.height / side; ++row) {
    for (std::size_t column = 0; column < x.width / side; ++column) {
      places.push_back({static_cast<std::int32_t>(column), static_cast<std::int32_t>(row)});
    }
  }
  return places;
}

}  // namespace g4::media
