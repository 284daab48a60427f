/// Blanks: which characters of UTF-8 are, and how vocabularies write them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "g4/core/compiled.h"
#include "g4/core/utf8.h"

namespace g4::text {

/// U+2581, the visible blank: vocabularies store ' ' as this character.
inline constexpr std::string_view visible_blank = "\xE2\x96\x81";
/// U+FFFD, shown in place of a byte that belongs to no character.
inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

namespace detail {

/// Bytes of the blank character at the front of `text`, 0 if there is none. Blank is what Python's str.strip() takes
/// away, because the published chat templates trim with it.
[[nodiscard]] constexpr std::size_t leading_blank(std::string_view text) {
  if (text.empty()) return 0;
  const auto c = static_cast<unsigned char>(text[0]);
  if ((c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20)) return 1;
  if (text.starts_with("\xC2\x85") || text.starts_with("\xC2\xA0")) return 2;
  if (text.size() < 3) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  const auto third = static_cast<unsigned char>(text[2]);
  if (c == 0xE1) return second == 0x9A && third == 0x80 ? 3 : 0;  // U+1680
  if (c == 0xE3) return second == 0x80 && third == 0x80 ? 3 : 0;  // U+3000
  if (c != 0xE2) return 0;
  if (second == 0x81) return third == 0x9F ? 3 : 0;  // U+205F
  if (second != 0x80) return 0;
  const bool blank = (third >= 0x80 && third <= 0x8A) || third == 0xA8 || third == 0xA9 || third == 0xAF;
  return blank ? 3 : 0;  // U+2000-200A, 2028, 2029, 202F
}

}  // namespace detail

/// `text` without blanks at either end; the same characters as Python's str.strip().
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text) {
  while (const std::size_t blank = detail::leading_blank(text)) text.remove_prefix(blank);
  for (;;) {
    std::size_t length = 1;
    while (length < text.size() && length < 4 &&
           (static_cast<unsigned char>(text[text.size() - length]) & 0xC0) == 0x80) {
      ++length;
    }
    if (text.empty() || detail::leading_blank(text.substr(text.size() - length)) != length) return text;
    text.remove_suffix(length);
  }
}

/// ' ' → U+2581, appended to `out`.
G4_INLINE void append_with_visible_blanks(std::string_view text, std::string& out);

/// U+2581 → ' ', appended to `out`.
G4_INLINE void append_with_plain_blanks(std::string_view text, std::string& out);

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/utf8.inl"  // IWYU pragma: keep
#endif
