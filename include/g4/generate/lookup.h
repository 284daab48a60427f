/// Guessing the next tokens from the text so far, without a second model.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "g4/text/piece_table.h"

namespace g4 {

/// Prompt lookup: finds the latest earlier place where the text's last few tokens stood, and guesses that what followed
/// there follows again. Free where it is wrong, and often right when an answer quotes its prompt.
class prompt_lookup {
 public:
  /// Matches of `longest` tokens are tried first, then shorter ones, down to one.
  explicit prompt_lookup(std::size_t longest = 3) : longest_(longest) {}

  /// At most `count` guesses for what follows `text`; none when its end has not been seen before.
  std::span<const token_id> draft(std::span<const token_id> text, std::size_t count) {
    guesses_.clear();
    for (std::size_t length = std::min(longest_, text.size() / 2); length > 0 && guesses_.empty(); --length) {
      const auto end = text.last(length);
      for (std::size_t at = text.size() - length; at-- > 0;) {
        if (!std::equal(end.begin(), end.end(), text.begin() + static_cast<std::ptrdiff_t>(at))) continue;
        const auto follows = text.subspan(at + length, std::min(count, text.size() - at - length));
        guesses_.assign(follows.begin(), follows.end());
        break;
      }
    }
    return guesses_;
  }

 private:
  std::size_t longest_;
  std::vector<token_id> guesses_;
};

}  // namespace g4
