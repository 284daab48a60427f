// How a camera was held: the EXIF directory, the XMP text, and turning a picture by what they say.
#include <algorithm>

#include "picture_formats.h"

namespace media_files {

namespace {

/// The numbers of a TIFF file, which says itself which byte comes first.
class tiff {
 public:
  explicit tiff(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    constexpr std::string_view prefix("Exif\0\0", 6);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (text.starts_with(prefix)) bytes_ = bytes_.subspan(prefix.size());
    const std::string_view order = text.substr(std::min(text.size(), text.size() - bytes_.size()), 4);
    little_ = order == std::string_view("II*\0", 4);
    fine_ = little_ || order == std::string_view("MM\0*", 4);
  }

  /// The first directory's orientation; 0 where it has none.
  [[nodiscard]] int orientation() const {
    constexpr std::size_t tag = 0x112, entry_bytes = 12;
    if (!fine_) return 0;
    const std::size_t at = number(4, 4);
    const std::size_t count = number(at, 2);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t entry = at + 2 + i * entry_bytes;
      if (entry + entry_bytes > bytes_.size()) return 0;
      if (number(entry, 2) != tag || number(entry + 4, 4) != 1) continue;
      constexpr std::size_t as_byte = 1, as_short = 3, as_long = 4;
      const std::size_t type = number(entry + 2, 2);
      if (type == as_byte) return static_cast<int>(number(entry + 8, 1));
      if (type == as_short) return static_cast<int>(number(entry + 8, 2));
      if (type == as_long) return static_cast<int>(std::min<std::size_t>(number(entry + 8, 4), 0xffff));
      return 0;
    }
    return 0;
  }

 private:
  /// 0 beyond the end.
  [[nodiscard]] std::size_t number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::size_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes_[at + (little_ ? size - 1 - i : i)];
    return value;
  }

  std::span<const std::uint8_t> bytes_;
  bool little_ = false;
  bool fine_ = false;
};

}  // namespace

int orientation_of(const stored_picture& picture) {
  int found = tiff(picture.exif).orientation();
  if (found == 0) {
    // tiff:Orientation="6" or <tiff:Orientation>6</tiff:Orientation>
    constexpr std::string_view name = "tiff:Orientation";
    const std::string_view xmp = picture.xmp;
    for (std::size_t at = xmp.find(name); at != std::string_view::npos; at = xmp.find(name, at + 1)) {
      std::string_view behind = xmp.substr(at + name.size());
      if (behind.starts_with("=\"")) {
        behind.remove_prefix(2);
      } else if (behind.starts_with(">")) {
        behind.remove_prefix(1);
      } else {
        continue;
      }
      if (!behind.empty() && behind[0] >= '0' && behind[0] <= '9') {
        found = behind[0] - '0';
        break;
      }
    }
  }
  return found >= 1 && found <= 8 ? found : 1;
}

g4::media::pixels turned(g4::media::pixels picture, int orientation) {
  if (orientation == 1) return picture;
  const std::size_t h = picture.height, w = picture.width;
  const bool lies = orientation >= 5;  // its sides are exchanged
  g4::media::pixels out{{}, lies ? w : h, lies ? h : w};
  out.rgb.reserve(picture.rgb.size());
  for (std::size_t y = 0; y < out.height; ++y) {
    for (std::size_t x = 0; x < out.width; ++x) {
      std::size_t row = lies ? x : y, column = lies ? y : x;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) row = h - 1 - row;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) column = w - 1 - column;
      const std::uint8_t* const from = picture.rgb.data() + (row * w + column) * 3;
      out.rgb.insert(out.rgb.end(), from, from + 3);
    }
  }
  return out;
}

}  // namespace media_files
