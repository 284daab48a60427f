/// The greatest products of a weight's rows without reading all of the weight: what is known of a row before it is done.
///
/// A head's rows are kept by nibbles (`backend/cpu/panels.h`). With a level w = c + r, where c comes of its upper nibble and
/// r = lower nibble − 8, a row's product with activations x is
///
///     y = Σ_b d_b · step_b · (Σ c·x + Σ_read r·x + Σ_rest r·x),   |Σ_rest r·x| ≤ ‖r_b‖ · ‖x_b, rest‖   (Cauchy-Schwarz)
///
/// over blocks b of 32 columns. Upper nibbles are read for every row, and with them the lower nibbles of some groups of eight
/// columns; more of these, a stage at a time, for panels where some row can still be among the k greatest. A row whose bound
/// is below k products that are known cannot be; the rest end exact, with the bits of `panel_matmul`.
///
/// The columns in which a model's hidden states are large are nearly the same for every token: of Gemma 3 270M's 640, one has 72 % of
/// the energy, and an eighth of the groups three quarters. So groups stand in the order of the first token's energies
/// (`panel_weight::groups`), and what is read follows what has been read.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "g4/backend/cpu/panels.h"
#include "g4/core/compiled.h"

namespace g4::cpu {

/// The greatest products found so far, and the rows they are of.
struct best_rows {
  static constexpr std::size_t most = 256;
  struct entry {
    float value;
    std::int32_t row;
  };

  std::size_t k = 0;
  std::size_t count = 0;
  float floor = -std::numeric_limits<float>::infinity();  ///< a product below this is not among the k greatest
  std::size_t checked = 0;                                ///< panels that could have been given up
  std::size_t kept = 0;                                   ///< … and were not
  float cap = 0;                                          ///< of the soft cap the products go through later; 0 is none
  entry entries[most];                                    ///< a heap, the least in front

  void begin(std::size_t how_many, float soft_cap, float least) {
    k = how_many;
    count = checked = kept = 0;
    cap = soft_cap;
    floor = least;
  }

  void add(float value, std::int32_t row) {
    constexpr auto greater = [](const entry& a, const entry& b) { return a.value > b.value; };
    if (!(value > -std::numeric_limits<float>::infinity())) return;  // a NaN bounds nothing
    if (count == k) {
      if (!(value > entries[0].value)) return;
      std::pop_heap(entries, entries + count, greater);
      --count;
    }
    entries[count++] = {value, row};
    std::push_heap(entries, entries + count, greater);
    if (count == k) floor = std::max(floor, below(entries[0].value, cap));
  }

  /// Products below the result are below `value` even after a soft cap, which brings numbers together until rounding may
  /// exchange them: 1e-5 of the cap is a hundred times its error.
  [[nodiscard]] static float below(float value, float cap) {
    if (cap == 0) return value;
    const double least = std::tanh(static_cast<double>(value) / static_cast<double>(cap)) - 1e-5;
    if (least <= -1) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(static_cast<double>(cap) * std::atanh(least) * (least > 0 ? 1 - 1e-6 : 1 + 1e-6));
  }
};

/// What the bounds of every row have in common: made once for a token's activations.
///
/// order   [groups]           groups of eight columns as a panel's lower nibbles have them
/// sum     [groups]           sums of a group's levels
/// rest    [stages, blocks]   step · ‖levels not yet met by lower nibbles‖ / norm_unit, before each stage
/// cap     [stages, blocks]   norm_unit · what ‖r‖ can be at most over those columns
/// slack   [blocks]           what |d| is multiplied with to cover the rounding of two sums of floats
struct rank_plan {
  static constexpr std::size_t stages = 8;

  const std::uint16_t* order = nullptr;
  std::int32_t* sum = nullptr;
  float* rest = nullptr;
  float* cap = nullptr;
  float* slack = nullptr;
  std::size_t groups = 0;

  /// Group after the last of stage s.
  [[nodiscard]] std::size_t end(std::size_t s) const { return groups * (s + 1) / stages; }

  [[nodiscard]] static constexpr std::size_t bytes(std::size_t columns) {
    const std::size_t blocks = columns / 32;
    return 4 * blocks * (sizeof(double) + sizeof(std::int32_t)) + sizeof(float) * blocks * (2 * stages + 1);
  }

  /// levels   [blocks, 32]   as `activations` has them
  /// step     [blocks]
  /// in_order [columns / 8]
  /// memory   bytes(columns), aligned for a double
  void make(const std::int16_t* levels, const float* step, std::size_t columns, const std::uint16_t* in_order,
            std::byte* memory);
};

/// Groups of eight columns by the energy of their activations, the largest first.
G4_INLINE void order_by_energy(const float* x, std::vector<std::uint16_t>& groups);

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/rank.inl"  // IWYU pragma: keep
#endif
