/// The merging loop of byte-pair encoding, O(n log n) on any text, in 26 bytes of memory for each of the longest
/// stretch that has to be looked at as one.
///
///     while some neighbours may join:  join the most urgent pair, the leftmost of equals
///
/// Source: Sennrich et al. 2016; ties and order as in SentencePiece and in Hugging Face tokenizers.
#pragma once

#include <cstddef>
#include <cstdint>
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
    token_id id = no_token;
  };

  /// Merges `text` (below 4 GiB) and calls `emit(symbol)` for what is left, from left to right.
  ///
  /// Where no piece holds the character before a blank together with that blank, nothing can join across: such
  /// stretches are merged one by one, which in most languages are words.
  template <class Emit>
  void run(std::string_view text, const piece_table& pieces, const merge_rules& rules, encode_work& work, Emit emit) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::string_view stretch = text.substr(begin, stretch_size(text.substr(begin), pieces));
      merge(stretch, pieces, rules, work);
      for (std::size_t at = 0; at < stretch.size(); at += nodes_[at].size) {
        emit(symbol{static_cast<std::uint32_t>(begin + at), nodes_[at].size, nodes_[at].id});
      }
      begin += stretch.size();
    }
  }

 private:
  /// The run of bytes that begins at the byte with this number; nothing where none begins.
  struct node {
    std::uint16_t size = 0;
    std::uint16_t previous_size = 0;             // 0 for the first
    std::uint32_t urgency = merge_rules::never;  // of joining with the next
    token_id id = no_token;
    token_id joined = no_token;
  };

  static bool later(std::uint64_t a, std::uint64_t b) { return a > b; }

  [[nodiscard]] std::uint64_t ticket(std::uint32_t i) const;

  /// Bytes up to the first place that nothing joins across.
  [[nodiscard]] static std::size_t stretch_size(std::string_view text, const piece_table& pieces);

  void merge(std::string_view text, const piece_table& pieces, const merge_rules& rules, encode_work& work);

  void split(std::string_view text, const piece_table& pieces, encode_work& work);

  /// Queues what the symbol at byte i and its right neighbour make, where they may join.
  void look_up(std::string_view text, std::uint32_t i, const piece_table& pieces, const merge_rules& rules,
               encode_work& work);

  void join(std::string_view text, std::uint32_t i);

  /// Drops tickets that are stale or there twice, which leaves fewer than there are symbols.
  void drop_stale_tickets();

  std::vector<node> nodes_;  // by byte
  std::vector<std::uint64_t> queue_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/byte_pairs.inl"  // IWYU pragma: keep
#endif
