// One function per picture format, and what they hand on. Inside examples/media only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/result.h"
#include "g4/media/picture.h"
#include "read_picture.h"

namespace media_files {

/// A picture as it lies in the file, and what is said beside it.
struct stored_picture {
  g4::media::pixels pixels;
  std::vector<std::uint8_t> exif;  ///< a TIFF header and its directories; may be empty
  std::string xmp;
};

/// Messages name what is wrong and not the file: read_picture does that.
[[nodiscard]] g4::result<stored_picture> read_png(std::span<const std::byte> bytes, const picture_limits& limits);
[[nodiscard]] g4::result<stored_picture> read_jpeg(std::span<const std::byte> bytes, const picture_limits& limits);
[[nodiscard]] g4::result<stored_picture> read_webp(std::span<const std::byte> bytes, const picture_limits& limits);
[[nodiscard]] g4::result<stored_picture> read_ppm(std::span<const std::byte> bytes, const picture_limits& limits);

/// Refuses sides of nought and more pixels than are allowed.
[[nodiscard]] g4::result<void> check_size(std::size_t height, std::size_t width, const picture_limits& limits);

/// 1 … 8: how the picture is to be turned, by its EXIF data or else its XMP data; 1 where neither says.
[[nodiscard]] int orientation_of(const stored_picture& picture);
/// The picture turned so that it stands upright.
[[nodiscard]] g4::media::pixels turned(g4::media::pixels picture, int orientation);

[[nodiscard]] inline const std::uint8_t* as_bytes(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace media_files
