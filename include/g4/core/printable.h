/// Text that is safe to show: what stands in a file or on a command line may hold line breaks and a terminal's escapes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "g4/core/compiled.h"

namespace g4 {

namespace detail {

/// The scalar value of the UTF-8 sequence in front and how long it is; a length of 0 where there is none.
struct scalar_at {
  unsigned value = 0;
  std::size_t length = 0;
};

[[nodiscard]] inline scalar_at first_scalar(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  constexpr unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
  unsigned value = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

/// Controls of ASCII and Latin-1, the line and paragraph separators, and what turns the direction of writing.
[[nodiscard]] constexpr bool is_control(unsigned scalar) {
  return scalar < 0x20 || (scalar >= 0x7f && scalar < 0xa0) || (scalar >= 0x2028 && scalar <= 0x202e) ||
         (scalar >= 0x2066 && scalar <= 0x2069) || scalar == 0x200e || scalar == 0x200f || scalar == 0x061c ||
         scalar == 0xfeff;
}

}  // namespace detail

/// The text on one line: control characters as \n, \t, \x1b or \u{202e}, bytes that are no UTF-8 as \xff. All else as it
/// is, backslashes too, so that sentences stay readable.
[[nodiscard]] G4_INLINE std::string printable(std::string_view text);

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/core/printable.inl"  // IWYU pragma: keep
#endif
