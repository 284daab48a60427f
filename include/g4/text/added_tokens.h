/// Tokens that are cut out of the text before any merging: the longest that begins earliest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

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
  void add(std::string_view text, token id, bool special) {
    if (text.empty()) return;
    std::uint32_t* link = &first_[static_cast<unsigned char>(text[0])];
    std::uint32_t node = 0;
    for (const char c : text) {
      while (*link != 0 && nodes_[*link - 1].byte != c) link = &nodes_[*link - 1].sibling;
      if (*link == 0) {
        *link = static_cast<std::uint32_t>(nodes_.size() + 1);
        nodes_.push_back({});
        nodes_.back().byte = c;
        node = static_cast<std::uint32_t>(nodes_.size());
      } else {
        node = *link;
      }
      link = &nodes_[node - 1].child;
    }
    nodes_[node - 1].id = id;
    nodes_[node - 1].special = special;
  }

  /// The longest token that begins at text[at]; a special one only where it ends at or before `special_end`.
  [[nodiscard]] match at(std::string_view text, std::size_t at, std::size_t special_end) const {
    match longest;
    std::uint32_t node = first_[static_cast<unsigned char>(text[at])];
    for (std::size_t size = 1; node != 0; ++size) {
      const entry& here = nodes_[node - 1];
      if (here.id != no_token && (!here.special || at + size <= special_end)) longest = {size, here.id};
      if (at + size == text.size()) break;
      node = here.child;
      while (node != 0 && nodes_[node - 1].byte != text[at + size]) node = nodes_[node - 1].sibling;
    }
    return longest;
  }

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
