/// byte_pairs.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "g4/text/byte_pairs.h"

namespace g4::text {

G4_INLINE std::uint64_t byte_pairs::ticket(std::uint32_t i) const {
  return static_cast<std::uint64_t>(nodes_[i].urgency) << 32 | i;
}

G4_INLINE void byte_pairs::split(std::string_view text, const piece_table& pieces, encode_work& work) {
  nodes_.clear();
  for (std::size_t begin = 0; begin < text.size();) {
    // A broken character takes what follows it along, as in llama.cpp: 0xC3 '(' becomes two byte tokens.
    const std::size_t size = std::min(utf8_length(text[begin]), text.size() - begin);
    const auto i = static_cast<std::uint32_t>(nodes_.size());
    node n;
    n.run = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(size),
             pieces.find(text.substr(begin, size))};
    n.previous = i == 0 ? none : i - 1;
    begin += size;
    n.next = begin < text.size() ? i + 1 : none;
    nodes_.push_back(n);
  }
  work.characters += nodes_.size();
  work.lookups += nodes_.size();
}

G4_INLINE bool byte_pairs::look_up(std::string_view text, std::uint32_t i, const piece_table& pieces,
                                   const merge_rules& rules, encode_work& work) {
  node& n = nodes_[i];
  n.urgency = merge_rules::never;
  if (n.next == none) return false;
  const std::size_t size = std::size_t{n.run.size} + nodes_[n.next].run.size;
  if (size > pieces.longest()) return false;
  ++work.lookups;
  n.joined = pieces.find(text.substr(n.run.begin, size));
  if (n.joined != no_token) n.urgency = rules.urgency(n.joined, n.run.size);
  return n.urgency != merge_rules::never;
}

G4_INLINE void byte_pairs::join(std::uint32_t i) {
  node& left = nodes_[i];
  node& right = nodes_[left.next];
  left.run.size += right.run.size;
  left.run.id = left.joined;
  left.next = right.next;
  if (right.next != none) nodes_[right.next].previous = i;
  right.urgency = merge_rules::never;
}

}  // namespace g4::text
