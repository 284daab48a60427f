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

/// Where a token is cut out of a text.
enum class cut_out : std::uint8_t {
  anywhere,            ///< it is text: a run of blanks, a tag
  where_nobody_spoke,  ///< outside `encode_options::plain`
  when_asked,          ///< there, and only with `encode_options::parse_special`
};

/// A byte trie. Matching at one place costs at most the length of the longest token, whatever the text.
class added_tokens {
 public:
  struct match {
    std::size_t size = 0;  ///< bytes; 0 where nothing matches
    token_id id = no_token;
  };

  [[nodiscard]] bool empty() const { return nodes_.empty(); }

  /// An empty text is ignored; a text added twice keeps its later id.
  void add(std::string_view text, token_id id, cut_out where);

  /// How far the token that begins here may reach, by where it is cut out; one that is cut out anywhere is free.
  struct limits {
    std::size_t of_ours = 0;     ///< cut_out::where_nobody_spoke
    std::size_t of_special = 0;  ///< cut_out::when_asked
  };

  /// The longest token that begins at text[at] and ends within its limit.
  [[nodiscard]] match at(std::string_view text, std::size_t at, limits ends) const;

 private:
  struct entry {
    std::uint32_t child = 0;  // places in nodes_, counted from 1; 0 is none
    std::uint32_t sibling = 0;
    token_id id = no_token;
    char byte = 0;
    cut_out where = cut_out::anywhere;
  };

  std::array<std::uint32_t, 256> first_{};
  std::vector<entry> nodes_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/added_tokens.inl"  // IWYU pragma: keep
#endif
