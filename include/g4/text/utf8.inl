/// utf8.h, defined.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "g4/text/utf8.h"

namespace g4::text {

G4_INLINE void append_with_visible_blanks(std::string_view text, std::string& out) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t blank = text.find(' ', begin);
    if (blank == std::string_view::npos) {
      out.append(text.substr(begin));
      return;
    }
    out.append(text.substr(begin, blank - begin)).append(visible_blank);
    begin = blank + 1;
  }
}

G4_INLINE void append_with_plain_blanks(std::string_view text, std::string& out) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t blank = text.find(visible_blank, begin);
    if (blank == std::string_view::npos) {
      out.append(text.substr(begin));
      return;
    }
    out.append(text.substr(begin, blank - begin)).push_back(' ');
    begin = blank + visible_blank.size();
  }
}

}  // namespace g4::text
