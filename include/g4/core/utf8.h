/// What is a character of UTF-8, and what is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace g4 {

/// Bytes a character takes, told from its first byte alone; 1 for a byte that starts none.
[[nodiscard]] constexpr std::size_t utf8_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  if (byte < 0xC0) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

enum class utf8_state : std::uint8_t { complete, incomplete, invalid };

/// What 1 to 4 bytes are: one whole character, the beginning of one, or neither. Overlong forms, surrogates and
/// numbers above U+10FFFF are invalid (Unicode, table 3-7).
[[nodiscard]] constexpr utf8_state utf8_check(std::string_view bytes) {
  if (bytes.empty()) return utf8_state::incomplete;
  const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return bytes.size() == 1 ? utf8_state::complete : utf8_state::invalid;
  if (first < 0xC2 || first > 0xF4) return utf8_state::invalid;
  const std::size_t length = utf8_length(bytes[0]);
  if (bytes.size() > length) return utf8_state::invalid;
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (i == 1) {
      if (first == 0xE0) low = 0xA0;
      if (first == 0xED) high = 0x9F;
      if (first == 0xF0) low = 0x90;
      if (first == 0xF4) high = 0x8F;
    }
    if (at(i) < low || at(i) > high) return utf8_state::invalid;
  }
  return bytes.size() == length ? utf8_state::complete : utf8_state::incomplete;
}

/// True for well-formed UTF-8.
[[nodiscard]] constexpr bool is_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = utf8_length(bytes[i]);
    if (utf8_check(bytes.substr(i, length)) != utf8_state::complete) return false;
    i += length;
  }
  return true;
}

/// The number of the character that `bytes` are, one whole character by `utf8_check`.
[[nodiscard]] constexpr std::uint32_t utf8_point(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  std::uint32_t point = bytes.size() == 1 ? first : first & (0x7F >> bytes.size());
  for (const char c : bytes.substr(1)) point = (point << 6) | (static_cast<unsigned char>(c) & 0x3F);
  return point;
}

/// Appends a character, given by its number.
inline void append_utf8(std::uint32_t point, std::string& out) {
  const auto follow = [&](int shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3F)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    follow(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | (point >> 12));
    follow(6), follow(0);
  } else {
    out += static_cast<char>(0xF0 | (point >> 18));
    follow(12), follow(6), follow(0);
  }
}

}  // namespace g4
