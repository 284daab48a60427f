#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "g4/core/printable.h"

namespace g4 {

G4_INLINE std::string printable(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const detail::scalar_at at = detail::first_scalar(text);
    const std::size_t length = at.length == 0 ? 1 : at.length;
    if (at.length != 0 && !detail::is_control(at.value)) {
      out += text.substr(0, length);
    } else if (at.length != 0 && at.value == '\n') {
      out += "\\n";
    } else if (at.length != 0 && at.value == '\t') {
      out += "\\t";
    } else if (at.length != 0 && at.value == '\r') {
      out += "\\r";
    } else if (at.length > 1) {
      out += "\\u{";
      bool begun = false;
      for (int shift = 20; shift >= 0; shift -= 4) {
        const unsigned digit = at.value >> shift & 15;
        begun = begun || digit != 0 || shift == 0;
        if (begun) out += digits[digit];
      }
      out += '}';
    } else {
      const auto byte = static_cast<unsigned char>(text[0]);
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace g4
