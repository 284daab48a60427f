/// chat.h, defined.
#pragma once

#include <cstddef>
#include <string_view>

#include "g4/text/chat.h"

namespace g4::text {

G4_INLINE void prompt::say(std::string_view s) {
  if (s.empty()) return;
  const std::size_t begin = text.size();
  text += s;
  if (!said.empty() && said.back().end == begin) {
    said.back().end = text.size();
  } else {
    said.push_back({begin, text.size()});
  }
}

}  // namespace g4::text
