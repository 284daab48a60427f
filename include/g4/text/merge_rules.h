/// Which neighbours of a byte-pair encoding may join, and which join first.
///
/// Two forms, one question. A vocabulary with scores joins a pair when the joined bytes are a piece, the highest score
/// first. A vocabulary with merges joins a pair when it is listed, the first listed first. Both answer with an urgency,
/// an integer; the smallest goes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/text/piece_table.h"

namespace g4::text {

class merge_rules {
 public:
  static constexpr std::uint32_t never = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::size_t max_merges = std::size_t{1} << 24;

  /// Urgency of a score: falls as the score rises. The score is not a NaN.
  [[nodiscard]] static std::uint32_t urgency_of(float score);

  /// From here on every piece has the urgency of its score; `never` for pieces no merge may make.
  void use_scores(std::vector<std::uint32_t> urgency_of_piece) { by_piece_ = std::move(urgency_of_piece); }

  /// From here on only listed pairs join. `piece[m]` is what merge m makes, `left[m]` the bytes of its left half.
  /// Kept sorted by the piece made, so that all ways to make a piece lie side by side, and by their left halves. Of a
  /// pair listed twice the later line counts.
  void use_merges(const std::vector<token_id>& piece, const std::vector<std::uint16_t>& left, std::size_t pieces);

  /// Urgency of joining a left neighbour of `left_bytes` bytes with what follows it into `joined`.
  [[nodiscard]] std::uint32_t urgency(token_id joined, std::size_t left_bytes) const;

  /// Calls see(rank, piece made, bytes of the left half) for every listed pair, piece by piece.
  template <class See>
  void each(See see) const {
    for (std::size_t id = 0; id + 1 < first_.size(); ++id) {
      for (std::size_t i = first_[id]; i < first_[id + 1]; ++i) {
        see(ways_[i].rank, static_cast<token_id>(id), ways_[i].left_bytes);
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

#if !defined(G4_COMPILED)
#include "g4/text/merge_rules.inl"  // IWYU pragma: keep
#endif
