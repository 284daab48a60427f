/// The greatest products of a head's rows, over the workers of a pool. `backend/cpu/rank.h` says why they are right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/products.h"
#include "g4/backend/cpu/tasks.h"
#include "g4/backend/cpu/working_memory.h"

namespace g4::cpu {

template <class Kernels>
class ranking {
 public:
  ranking() = default;
  explicit ranking(const tasks& over) : tasks_(over) {}

  /// The products of one token of which the k greatest are wanted: those are right; any other row may hold −∞ instead.
  /// Not all of a head in Q8_0 is read for that, once it has moved: a head of which the greatest products are wanted
  /// before any of it has moved is kept by nibbles. The same bits as `matmul`, and the same rows, whatever the pool.
  ///
  /// cap     of the soft cap that the products go through later, whose rounding must not bring in another row; 0 is none
  /// guess   rows that may be among the greatest, better the more of them are; the k greatest afterwards, or nothing
  void best(g4::cpu::products<Kernels>& products, const weight_view& w, const float* x, std::size_t k, float cap,
            float* y, std::vector<std::int32_t>& guess);

  /// Bytes of working memory for heads of so many columns; none where nothing is ranked, as no rows shorter than a block of
  /// Q8_0 are.
  [[nodiscard]] std::size_t room_for(std::size_t columns) const {
    return columns < 32 ? 0 : plan_bytes(columns) + stride(columns) * tasks_.workers();
  }
  /// Takes it. Says whether there was memory.
  [[nodiscard]] bool make_ready(std::size_t columns) { return scratch_.make_ready(room_for(columns)); }

 private:
  [[nodiscard]] static std::size_t plan_bytes(std::size_t columns) {
    return ceil_div(rank_plan::bytes(columns), 64) * 64;
  }
  /// Bytes of a worker.
  [[nodiscard]] static std::size_t stride(std::size_t columns) {
    return ceil_div(rank_scratch(columns) + sizeof(best_rows), 64) * 64;
  }

  /// A head of which nothing has moved will be kept by nibbles, in the order of this token's energies.
  static void keep_by_nibbles(panel_weight& weight, const float* x);

  tasks tasks_;
  working_memory scratch_;
  std::size_t unasked_ = 2;  // stages of lower nibbles that are read of every row (`rank_call::first_check`)
};

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/ranking.inl"  // IWYU pragma: keep
#endif
