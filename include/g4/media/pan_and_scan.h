/// Pieces of a long picture, looked at beside the whole.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "g4/media/picture.h"

namespace g4::media {

/// When a picture is cut, and into what.
struct pan_and_scan {
  std::size_t shortest_side = 256;  ///< a piece with a shorter side is not worth a look: nothing is cut then
  std::size_t most = 4;             ///< pieces
  double least_ratio = 1.2;         ///< of the long side to the short one, from which on a picture is long
};

/// The pieces of a picture along its longer side, in order; none where it is not long enough, or the pieces would be small.
///
///     n = min(max(min(⌊long / short + ½⌋, ⌊long / shortest_side⌋), 2), most),  each ⌈long / n⌉ long, the last what is left
///
/// Source: transformers 5.23.0, pan_and_scan of image_processing_gemma3.py.
[[nodiscard]] inline std::vector<pixels> pieces_of(const picture& x, const pan_and_scan& how = {}) {
  constexpr std::size_t colours = 3;
  if (!x.is_whole() || how.most == 0 || how.shortest_side == 0) return {};
  const bool lies = x.width >= x.height;
  const std::size_t along = lies ? x.width : x.height, across = lies ? x.height : x.width;
  if (static_cast<double>(along) / static_cast<double>(across) < how.least_ratio) return {};
  const std::size_t by_shape = (2 * along + across) / (2 * across);
  const std::size_t n = std::min(std::max<std::size_t>(std::min(by_shape, along / how.shortest_side), 2), how.most);
  const std::size_t length = (along + n - 1) / n;
  if (std::min(length, across) < how.shortest_side) return {};

  std::vector<pixels> out;
  for (std::size_t first = 0; first < along && out.size() < n; first += length) {
    const std::size_t left = lies ? first : 0, top = lies ? 0 : first;
    const std::size_t width = lies ? std::min(length, along - first) : across;
    const std::size_t height = lies ? across : std::min(length, along - first);
    pixels piece{{}, height, width};
    piece.rgb.reserve(height * width * colours);
    for (std::size_t row = top; row < top + height; ++row) {
      const auto line = x.rgb.subspan((row * x.width + left) * colours, width * colours);
      piece.rgb.insert(piece.rgb.end(), line.begin(), line.end());
    }
    out.push_back(std::move(piece));
  }
  return out;
}

}  // namespace g4::media
