/// added_tokens.h, defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "g4/text/added_tokens.h"

namespace g4::text {

G4_INLINE void added_tokens::add(std::string_view text, token_id id, cut_out where) {
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
  nodes_[node - 1].where = where;
}

G4_INLINE added_tokens::match added_tokens::at(std::string_view text, std::size_t at, limits ends) const {
  match longest;
  std::uint32_t node = first_[static_cast<unsigned char>(text[at])];
  for (std::size_t size = 1; node != 0; ++size) {
    const entry& here = nodes_[node - 1];
    const bool fits = here.where == cut_out::anywhere ||
                      at + size <= (here.where == cut_out::when_asked ? ends.of_special : ends.of_ours);
    if (here.id != no_token && fits) longest = {size, here.id};
    if (at + size == text.size()) break;
    node = here.child;
    while (node != 0 && nodes_[node - 1].byte != text[at + size]) node = nodes_[node - 1].sibling;
  }
  return longest;
}

}  // namespace g4::text
