/// merge_rules.h, defined.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/text/merge_rules.h"

namespace g4::text {

G4_INLINE std::uint32_t merge_rules::urgency_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // −0 and +0 are one score
  const std::uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

G4_INLINE void merge_rules::use_merges(const std::vector<token_id>& piece, const std::vector<std::uint16_t>& left,
                                       std::size_t pieces) {
  first_.assign(pieces + 1, 0);
  for (const token_id made : piece) ++first_[static_cast<std::size_t>(made) + 1];
  for (std::size_t id = 0; id < pieces; ++id) first_[id + 1] += first_[id];
  std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
  ways_.resize(piece.size());
  for (std::size_t m = 0; m < piece.size(); ++m) {
    ways_[next[static_cast<std::size_t>(piece[m])]++] = {static_cast<std::uint32_t>(m), left[m]};
  }
  std::size_t kept = 0;
  for (std::size_t id = 0; id < pieces; ++id) {
    const auto from = ways_.begin() + first_[id];
    const auto to = ways_.begin() + first_[id + 1];
    std::sort(from, to, [](const way& a, const way& b) {
      return a.left_bytes != b.left_bytes ? a.left_bytes < b.left_bytes : a.rank > b.rank;
    });
    first_[id] = static_cast<std::uint32_t>(kept);
    for (auto w = from; w != to; ++w) {
      if (kept == first_[id] || ways_[kept - 1].left_bytes != w->left_bytes) ways_[kept++] = *w;
    }
  }
  first_[pieces] = static_cast<std::uint32_t>(kept);
  ways_.resize(kept);
}

G4_INLINE std::uint32_t merge_rules::urgency(token_id joined, std::size_t left_bytes) const {
  const auto id = static_cast<std::size_t>(joined);
  if (!by_piece_.empty()) return by_piece_[id];
  if (first_.empty()) return never;
  const auto end = ways_.begin() + first_[id + 1];
  const auto found =
      std::partition_point(ways_.begin() + first_[id], end, [=](const way& w) { return w.left_bytes < left_bytes; });
  return found != end && found->left_bytes == left_bytes ? found->rank : never;
}

}  // namespace g4::text
