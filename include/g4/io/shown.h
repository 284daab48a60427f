/// How errors quote what stands in a file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace g4::io {

/// Text from a file, fit to stand in an error: control and non-ASCII bytes become '?', and it is cut after 120 bytes.
[[nodiscard]] inline std::string shown(std::string_view text) {
  constexpr std::size_t most = 120;
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > most) out += "...";
  return out;
}

}  // namespace g4::io
