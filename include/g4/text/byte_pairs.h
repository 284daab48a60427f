/// The merging loop of byte-pair encoding, O(n log n) on any text.
///
///     while some neighbours may join:  join the most urgent pair, the leftmost of equals
///
/// Source: Sennrich et al. 2016; ties and order as in SentencePiece and in Hugging Face tokenizers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/text/merge_rules.h"
#include "g4/text/piece_table.h"
#include "g4/text/utf8.h"

namespace g4::text {

/// What an encoding cost, counted rather than timed.
struct encode_work {
  std::size_t characters = 0;  ///< symbols before any merge
  std::size_t lookups = 0;     ///< questions to the piece table
  std::size_t queued = 0;      ///< pairs that entered the queue
};

/// Scratch for one text at a time; keep it to spare the allocations.
class byte_pairs {
 public:
  /// A run of bytes; `id` is `no_token` where no piece has exactly these bytes (always a single character).
  struct symbol {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
    token id = no_token;
  };

  /// Merges `text` (below 4 GiB) and calls `emit(symbol)` for what is left, from left to right.
  template <class Emit>
  void run(std::string_view text, const piece_table& pieces, const merge_rules& rules, encode_work& work, Emit emit) {
    split(text, pieces, work);
    queue_.clear();
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
      if (look_up(text, i, pieces, rules, work)) queue_.push_back(ticket(i));
    }
    work.queued += queue_.size();
    std::make_heap(queue_.begin(), queue_.end(), later);
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), later);
      const std::uint64_t due = queue_.back();
      queue_.pop_back();
      const auto here = static_cast<std::uint32_t>(due & 0xFFFFFFFFu);
      // A ticket is stale once its pair has changed; a pair that changed into one of equal urgency has its own ticket,
      // and serving it under the older one is the same order.
      if (nodes_[here].urgency != static_cast<std::uint32_t>(due >> 32)) continue;
      join(here);
      for (const std::uint32_t changed : {here, nodes_[here].previous}) {
        if (changed == none || !look_up(text, changed, pieces, rules, work)) continue;
        queue_.push_back(ticket(changed));
        std::push_heap(queue_.begin(), queue_.end(), later);
        ++work.queued;
      }
    }
    for (std::uint32_t i = nodes_.empty() ? none : 0; i != none; i = nodes_[i].next) emit(nodes_[i].run);
  }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  struct node {
    symbol run;
    std::uint32_t previous = none;
    std::uint32_t next = none;
    std::uint32_t urgency = merge_rules::never;  // of joining with `next`
    token joined = no_token;
  };

  static bool later(std::uint64_t a, std::uint64_t b) { return a > b; }

  [[nodiscard]] std::uint64_t ticket(std::uint32_t i) const;

  void split(std::string_view text, const piece_table& pieces, encode_work& work);

  /// Asks what symbol i and its right neighbour make; false where they may not join.
  bool look_up(std::string_view text, std::uint32_t i, const piece_table& pieces, const merge_rules& rules,
               encode_work& work);

  void join(std::uint32_t i);

  std::vector<node> nodes_;
  std::vector<std::uint64_t> queue_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/byte_pairs.inl"  // IWYU pragma: keep
#endif
