// PBM, PGM and PPM, as text and as bytes (P1 … P6): a header of a few words and then the numbers.
#include <cmath>

#include "picture_formats.h"

namespace media_files {

namespace {

[[nodiscard]] bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Words and bytes of a file, one after the other.
class words {
 public:
  explicit words(std::string_view text) : left_(text) {}

  /// A whole number, behind blanks and comments, of at most 10 digits; false where there is none. The one blank behind it
  /// is taken as well.
  [[nodiscard]] bool number(std::size_t& to) {
    skip();
    std::size_t digits = 0;
    to = 0;
    while (digits < left_.size() && left_[digits] >= '0' && left_[digits] <= '9' && digits <= 10) {
      to = 10 * to + static_cast<std::size_t>(left_[digits++] - '0');
    }
    left_.remove_prefix(digits);
    if (digits == 0 || digits > 10 || (!left_.empty() && !is_blank(left_[0]) && left_[0] != '#')) return false;
    if (!left_.empty() && is_blank(left_[0])) left_.remove_prefix(1);
    return true;
  }
  /// A nought or a one, which need no blanks between them.
  [[nodiscard]] bool bit(bool& to) {
    skip();
    if (left_.empty() || (left_[0] != '0' && left_[0] != '1')) return false;
    to = left_[0] == '1';
    left_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] std::string_view rest() const { return left_; }

 private:
  void skip() {
    for (;;) {
      while (!left_.empty() && is_blank(left_[0])) left_.remove_prefix(1);
      if (left_.empty() || left_[0] != '#') return;
      left_.remove_prefix(std::min(left_.find_first_of("\r\n"), left_.size()));
    }
  }
  std::string_view left_;
};

}  // namespace

g4::result<stored_picture> read_ppm(std::span<const std::byte> bytes, const picture_limits& limits) {
  const std::string_view text = as_text(bytes);
  const char kind = text[1];
  words in(text.substr(2));
  const bool plain = kind <= '3', bits = kind == '1' || kind == '4', coloured = kind == '3' || kind == '6';
  std::size_t width = 0, height = 0, white = 1;
  if (!is_blank(text[2]) || !in.number(width) || !in.number(height) || (!bits && !in.number(white)))
    return g4::fail("is no PPM: expected its width, height and greatest number");
  if (auto fine = check_size(height, width, limits); !fine) return g4::unexpected(fine.error());
  if (white == 0 || white > 65'535)
    return g4::fail("is no PPM: its greatest number is ", white, "; expected 1 to 65535");

  const std::size_t channels = coloured ? 3 : 1, count = height * width * channels;
  const std::size_t wide = white > 255 ? 2 : 1;
  const std::size_t line = bits ? (width + 7) / 8 : width * channels * wide;
  const auto cut_short = [&] {
    return g4::fail("is cut short: its ", height, " x ", width, " pixels are not all there");
  };
  const std::string_view raw = in.rest();
  if (plain ? raw.size() < count : raw.size() / line < height) return cut_short();

  // Grey of more than 8 bits is brought to 16 and then cut off at 255, as Pillow has it; colours are brought to 8.
  const double top = wide == 2 && !coloured ? 65'535 : 255;
  const auto scaled = [&](std::size_t value) {
    const double part = std::nearbyint(static_cast<double>(value) / static_cast<double>(white) * top);
    return static_cast<std::uint8_t>(std::min(part, 255.0));
  };
  stored_picture out{{{}, height, width}, {}, {}};
  std::vector<std::uint8_t>& rgb = out.pixels.rgb;
  rgb.reserve(height * width * 3);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t value = 0;
    if (bits) {
      bool black = false;
      if (!plain) {
        black = (static_cast<unsigned char>(raw[i / width * line + i % width / 8]) >> (7 - i % width % 8) & 1) != 0;
      } else if (!in.bit(black)) {
        return in.rest().empty() ? cut_short() : g4::fail("is no PBM: a pixel is neither 0 nor 1");
      }
      value = black ? 0 : 255;
    } else {
      std::size_t number = 0;
      if (!plain) {
        const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(raw[at])); };
        number = wide == 2 ? byte(2 * i) << 8 | byte(2 * i + 1) : byte(i);
      } else if (!in.number(number)) {
        return in.rest().empty() ? cut_short() : g4::fail("is no PPM: a pixel is no whole number");
      } else if (number > white) {
        return g4::fail("is no PPM: a pixel has ", number, ", more than its greatest number ", white);
      }
      value = scaled(number);
    }
    rgb.insert(rgb.end(), coloured ? 1 : 3, value);
  }
  return out;
}

}  // namespace media_files
