/// Which neighbours of a byte-pair encoding may join, and which join first.
///
/// Two forms, one question. A vocabulary with scores joins a pair when the joined bytes are a piece, the highest score
/// first. A vocabulary with merges joins a pair when it is listed, the first listed first. Both answer with an urgency,
/// an integer; the smallest goes first.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "g4/text/piece_table.h"

namespace g4::text {

class merge_rules {
 public:
  static constexpr std::uint32_t never = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::size_t max_merges = std::size_t{1} << 24;

  /// Urgency of a score: falls as the score rises. The score is not a NaN.
  [[nodiscard]] static std::uint32_t urgency_of(float score) {
    const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // −0 and +0 are one score
    const std::uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    return ~ascending;
  }

  /// From here on every piece has the urgency of its score; `never` for pieces no merge may make.
  void use_scores(std::vector<std::uint32_t> urgency_of_piece) { by_piece_ = std::move(urgency_of_piece); }

  /// From here on only listed pairs join. `piece[m]` is what merge m makes, `left[m]` the bytes of its left half.
  /// Kept sorted by the piece made, so that all ways to make a piece lie side by side.
  void use_merges(const std::vector<token>& piece, const std::vector<std::uint16_t>& left, std::size_t pieces) {
    first_.assign(pieces + 1, 0);
    for (const token made : piece) ++first_[static_cast<std::size_t>(made) + 1];
    for (std::size_t id = 0; id < pieces; ++id) first_[id + 1] += first_[id];
    std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
    ways_.resize(piece.size());
    for (std::size_t m = 0; m < piece.size(); ++m) {
      ways_[next[static_cast<std::size_t>(piece[m])]++] = {static_cast<std::uint32_t>(m), left[m]};
    }
  }

  /// Urgency of joining a left neighbour of `left_bytes` bytes with what follows it into `joined`.
  [[nodiscard]] std::uint32_t urgency(token joined, std::size_t left_bytes) const {
    const auto id = static_cast<std::size_t>(joined);
    if (!by_piece_.empty()) return by_piece_[id];
    if (first_.empty()) return never;
    // Backwards: of a pair listed twice the later line counts.
    for (std::size_t i = first_[id + 1]; i > first_[id]; --i) {
      if (ways_[i - 1].left_bytes == left_bytes) return ways_[i - 1].rank;
    }
    return never;
  }

  /// Calls see(rank, piece made, bytes of the left half) for every listed pair, piece by piece.
  template <class See>
  void each(See see) const {
    for (std::size_t id = 0; id + 1 < first_.size(); ++id) {
      for (std::size_t i = first_[id]; i < first_[id + 1]; ++i) {
        see(ways_[i].rank, static_cast<token>(id), ways_[i].left_bytes);
      }
    }
  }
  [[nodiscard]] std::size_t size() const { return ways_.size(); }

 private:
  struct way {
    std::uint32_t rank;
    std::uint16_t left_bytes;
  };

  std::vector<std::uint32_t> by_piece_;
  std::vector<std::uint32_t> first_;
  std::vector<way> ways_;
};

}  // namespace g4::text
