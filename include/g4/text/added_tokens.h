/// Tokens that are cut out of the text before any merging: the longest that begins earliest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/text/piece_table.h"

namespace g4::text {

/// A byte trie. Matching at one place costs at most the length of the longest token, whatever the text.
class added_tokens {
 public:
  struct match {
    std::size_t size = 0;  ///< bytes; 0 where nothing matches
    token id = no_token;
  };

  [[nodiscard]] bool empty() const { return nodes_.empty(); }

  /// `special` tokens match only when asked for. An empty text is ignored; a text added twice keeps its later id.
  void add(std::string_view text, token id, bool special);

  /// The longest token that begins at text[at]; a special one only where it ends at or before `special_end`.
  [[nodiscard]] match at(std::string_view text, std::size_t at, std::size_t special_end) const;

 private:
  struct entry {
    std::uint32_t child = 0;  // places in nodes_, counted from 1; 0 is none
    std::uint32_t sibling = 0;
    token id = no_token;
    char byte = 0;
    bool special = false;
  };

  std::array<std::uint32_t, 256> first_{};
  std::vector<entry> nodes_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/added_tokens.inl"  // IWYU pragma: keep
#endif
