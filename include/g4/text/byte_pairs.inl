/// byte_pairs.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "g4/text/byte_pairs.h"

namespace g4::text {

G4_INLINE std::uint64_t byte_pairs::ticket(std::uint32_t i) const {
  return static_cast<std::uint64_t>(nodes_[i].urgency) << 32 | i;
}

G4_INLINE std::size_t byte_pairs::stretch_size(std::string_view text, const piece_table& pieces) {
  for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
    if (at > 0 && text.substr(at).starts_with(visible_blank) && !pieces.joins_blank(text[at - 1])) return at;
  }
  return text.size();
}

G4_INLINE void byte_pairs::merge(std::string_view text, const piece_table& pieces, const merge_rules& rules,
                                 encode_work& work) {
  split(text, pieces, work);
  queue_.clear();
  queue_.reserve(text.size() + text.size() / 4 + 4);
  for (std::uint32_t i = 0; i < text.size(); i += nodes_[i].size) look_up(text, i, pieces, rules, work);
  std::make_heap(queue_.begin(), queue_.end(), later);
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    const std::uint64_t due = queue_.back();
    queue_.pop_back();
    const auto here = static_cast<std::uint32_t>(due & 0xFFFFFFFFu);
    // A ticket is stale once its pair has changed; a pair that changed into one of equal urgency has its own ticket,
    // and serving it under the older one is the same order.
    if (nodes_[here].urgency != static_cast<std::uint32_t>(due >> 32)) continue;
    join(text, here);
    if (queue_.size() + 2 > queue_.capacity()) drop_stale_tickets();
    for (const bool left : {false, true}) {
      if (left && nodes_[here].previous_size == 0) break;
      const std::size_t queued = queue_.size();
      look_up(text, left ? here - nodes_[here].previous_size : here, pieces, rules, work);
      if (queue_.size() > queued) std::push_heap(queue_.begin(), queue_.end(), later);
    }
  }
  constexpr std::size_t kept = std::size_t{1} << 16;
  if (queue_.capacity() > kept) queue_ = std::vector<std::uint64_t>();  // before a long stretch's ids take room
}

G4_INLINE void byte_pairs::split(std::string_view text, const piece_table& pieces, encode_work& work) {
  nodes_.assign(text.size(), {});
  std::uint16_t before = 0;
  for (std::size_t begin = 0; begin < text.size(); begin += before) {
    // A broken character takes what follows it along, as in llama.cpp: 0xC3 '(' becomes two byte tokens.
    const std::size_t size = std::min(utf8_length(text[begin]), text.size() - begin);
    node& n = nodes_[begin];
    n.size = static_cast<std::uint16_t>(size);
    n.previous_size = before;
    n.id = pieces.find(text.substr(begin, size));
    before = n.size;
    ++work.characters;
    ++work.lookups;
  }
}

G4_INLINE void byte_pairs::look_up(std::string_view text, std::uint32_t i, const piece_table& pieces,
                                   const merge_rules& rules, encode_work& work) {
  node& n = nodes_[i];
  n.urgency = merge_rules::never;
  const std::size_t next = std::size_t{i} + n.size;
  if (next == text.size()) return;
  const std::size_t size = std::size_t{n.size} + nodes_[next].size;
  if (size > pieces.longest()) return;
  ++work.lookups;
  n.joined = pieces.find(text.substr(i, size));
  if (n.joined != no_token) n.urgency = rules.urgency(n.joined, n.size);
  if (n.urgency == merge_rules::never) return;
  queue_.push_back(ticket(i));
  ++work.queued;
}

G4_INLINE void byte_pairs::join(std::string_view text, std::uint32_t i) {
  node& left = nodes_[i];
  node& right = nodes_[std::size_t{i} + left.size];
  right.urgency = merge_rules::never;
  left.size = static_cast<std::uint16_t>(left.size + right.size);
  left.id = left.joined;
  if (const std::size_t next = std::size_t{i} + left.size; next < text.size()) nodes_[next].previous_size = left.size;
}

G4_INLINE void byte_pairs::drop_stale_tickets() {
  std::erase_if(queue_, [this](std::uint64_t t) {
    return nodes_[static_cast<std::uint32_t>(t & 0xFFFFFFFFu)].urgency != static_cast<std::uint32_t>(t >> 32);
  });
  std::sort(queue_.begin(), queue_.end());  // a heap too
  queue_.erase(std::unique(queue_.begin(), queue_.end()), queue_.end());
}

}  // namespace g4::text
