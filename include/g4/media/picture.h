/// A picture as a host has it: pixels in memory, however they came there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace g4::media {

/// Pixels [height, width, 3], red, green and blue side by side, 0 … 255. It does not own them.
struct picture {
  std::span<const std::uint8_t> rgb;
  std::size_t height = 0;
  std::size_t width = 0;

  [[nodiscard]] bool is_whole() const {
    return height > 0 && width > 0 && width <= rgb.size() / 3 / height && rgb.size() == 3 * width * height;
  }
};

/// A picture that owns its pixels.
struct pixels {
  std::vector<std::uint8_t> rgb;
  std::size_t height = 0;
  std::size_t width = 0;

  [[nodiscard]] picture view() const { return {rgb, height, width}; }
};

/// A picture of a video, and when it is.
struct frame {
  pixels picture;
  double seconds = 0;
};

}  // namespace g4::media
