/// towers_beside.h, defined.
#pragma once

#include <dirent.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/open/towers_beside.h"

namespace g4 {

namespace detail {

[[nodiscard]] inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// How long a beginning two names share, the word before the first "mmproj-" aside.
[[nodiscard]] inline std::size_t shared_beginning(std::string_view model, std::string_view towers) {
  constexpr std::string_view word = "mmproj-";
  if (towers.starts_with(word)) towers.remove_prefix(word.size());
  const auto ends = std::mismatch(model.begin(), model.end(), towers.begin(), towers.end());
  return static_cast<std::size_t>(ends.first - model.begin());
}

}  // namespace detail

G4_INLINE result<std::string> towers_beside(const std::string& path) {
  return guarded([&]() -> result<std::string> {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const std::string model = detail::lower(slash == std::string::npos ? path : path.substr(slash + 1));
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), [](DIR* d) { return ::closedir(d); });
    if (open == nullptr) return std::string();
    std::vector<std::string> found;
    std::size_t longest = 0;
    while (const dirent* const entry = ::readdir(open.get())) {
      const std::string name = detail::lower(entry->d_name);
      if (name == model || !name.ends_with(".gguf") || name.find("mmproj") == std::string::npos) continue;
      const std::size_t shared = detail::shared_beginning(model, name);
      if (shared > longest) found.clear();
      if (shared < longest) continue;
      longest = shared;
      found.push_back((slash == std::string::npos ? "" : folder) + entry->d_name);
    }
    if (found.empty()) return std::string();
    std::sort(found.begin(), found.end());
    if (found.size() > 1) {
      return fail(path, ": which of the files beside it holds its towers? ", found[0], " and ", found[1],
                  " could be it; name one");
    }
    return found[0];
  });
}

}  // namespace g4
