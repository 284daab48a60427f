/// Quantised weights in the kernels' own order, and the memory that holds them.
///
/// Sixteen rows make a panel. A panel holds the rows' 32-bit words interleaved (word 0 of the sixteen rows, word 1 of
/// the sixteen rows, …), so that one vector of words feeds sixteen outputs and no sum ever crosses lanes; the words
/// are those of the file. After them come the panel's scales. The last panel's missing rows are noughts.
///
///     levels    [blocks, words per block, 16 rows] of 32 bits
///     scales    [blocks, …, 16 rows]                see panel_scale_bytes
///
/// A Q8_0 weight whose rows are to be ranked (a head) is kept by nibbles instead: what is needed to say roughly how large a
/// row's product is comes first, the rest of the levels after it.
///
///     upper     [blocks, 4 words, 16 rows]   word w: the upper nibbles of words 2w and, moved down, of 2w + 1
///     scales    [blocks, 16 rows]            half floats
///     norms     [blocks, 16 rows]            bytes: ‖lower nibbles − 8‖ · norm_unit, rounded up
///     lower     [groups, 16 rows]            a group is eight columns, the word with their lower nibbles; which group stands
///                                            where is `panel_weight::groups`: those with large activations first
///
/// Plain floats that always meet many rows at once (a tower's) are kept as what such a product takes of them:
///
///     levels    [blocks of 32 columns, 16 pairs, 16 rows, 2]   13 bits and a sign
///     steps     [blocks, 16 rows]                              floats
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/tensor/let_go.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/prepared.h"

namespace g4 {

namespace cpu {

inline constexpr std::size_t panel_rows = 16;

/// True for the storages `prepare` always puts into panels. Plain floats stay where they are, unless they always meet
/// many rows.
[[nodiscard]] constexpr bool has_panels(storage s) { return facts_of(s).block_elements > 1; }

/// Bytes of one block's levels (interleaved words) of a single row.
[[nodiscard]] constexpr std::size_t panel_level_bytes(storage s) {
  switch (s) {
    case storage::q4_0:
    case storage::q4_1: return 16;
    case storage::q5_0:
    case storage::q5_1: return 20;  // fifth bits last
    case storage::q8_0: return 32;
    case storage::q4_k: return 128;
    case storage::q5_k: return 160;  // nibbles, then fifth bits
    case storage::q6_k: return 192;  // nibbles, then upper pairs
    case storage::q2_k: return 64;
    case storage::q3_k: return 96;  // pairs, then third bits
    case storage::iq4_nl:
    case storage::mxfp4: return 16;
    case storage::iq4_xs: return 128;
    default: return 0;
  }
}

/// Bytes of one block's scales of a single row: d; then m, or dmin, 8 scales and 8 minima, or dmin and 16 bytes of a scale
/// and a minimum, or 16 or 8 scales. MXFP4 has its exponent alone.
[[nodiscard]] constexpr std::size_t panel_scale_bytes(storage s) {
  switch (s) {
    case storage::q4_0:
    case storage::q5_0:
    case storage::q8_0: return 2;
    case storage::q4_1:
    case storage::q5_1: return 4;
    case storage::q4_k:
    case storage::q5_k:
    case storage::q2_k: return 20;
    case storage::q6_k:
    case storage::q3_k: return 18;
    case storage::iq4_nl: return 2;
    case storage::iq4_xs: return 10;
    case storage::mxfp4: return 1;
    default: return 0;
  }
}

/// How a panel holds its levels.
enum class panel_order : std::uint8_t { words, nibbles, levels };

/// True for plain floats that products round to levels.
[[nodiscard]] constexpr bool has_levels(storage s) { return facts_of(s).block_elements == 1 && s != storage::f64; }

/// Where the parts of a panel in the order of nibbles begin, and how long it is, in bytes.
struct nibble_panel {
  std::size_t scales;
  std::size_t norms;
  std::size_t lower;
  std::size_t bytes;
};

[[nodiscard]] constexpr nibble_panel nibble_panel_of(std::size_t columns) {
  const std::size_t blocks = columns / 32;
  const std::size_t scales = 256 * blocks;
  const std::size_t norms = scales + 32 * blocks;
  const std::size_t lower = (norms + 16 * blocks + 63) & ~std::size_t{63};
  return {scales, norms, lower, lower + 256 * blocks};
}

/// Norms of lower nibbles, 8·√32 at most, fill a byte.
inline constexpr float norm_unit = 5.5f;

/// Bytes from one panel to the next.
[[nodiscard]] constexpr std::size_t panel_size(storage s, std::size_t columns, panel_order order = panel_order::words) {
  if (order == panel_order::nibbles) return nibble_panel_of(columns).bytes;
  if (has_levels(s)) return (columns + 31) / 32 * panel_rows * (32 * sizeof(std::int16_t) + sizeof(float));
  const std::size_t blocks = columns / facts_of(s).block_elements;
  return (blocks * panel_rows * (panel_level_bytes(s) + panel_scale_bytes(s)) + 63) & ~std::size_t{63};
}

/// Whether the rows of a weight may be ranked, and so kept by nibbles.
[[nodiscard]] constexpr bool can_be_ranked(const matrix_view& w, weight_use use) {
  return use == weight_use::head && w.type == storage::q8_0;
}

/// Bytes for a weight in either order that it may come to be kept in.
[[nodiscard]] constexpr std::size_t panel_room(const matrix_view& w, weight_use use) {
  const auto order = can_be_ranked(w, use) ? panel_order::nibbles : panel_order::words;  // nibbles take a little more
  return (w.rows + panel_rows - 1) / panel_rows * panel_size(w.type, w.columns, order);
}

inline constexpr weight_layout panels_of_sixteen{"panels of sixteen rows"};

/// A weight on its way from the file's rows into the kernels' order. What is used once is multiplied panel by panel as it
/// lies in the file; what is used again moves, some panels with each use, until all have. So a first token waits for
/// no copy, and no later one for the whole of it.
///
/// Models of several sessions share their weights: one session at a time moves panels of a weight, the others go on
/// with what has `moved` and with `stored`, which stays readable.
///
/// How a head's panels are ordered is settled before the first of them moves, by whether its greatest products are asked for.
struct panel_weight : prepared_weight {
  static constexpr const weight_layout& own_layout = panels_of_sixteen;

  matrix_view stored;  ///< as in the file
  bool may_be_ranked = false;
  panel_order order = panel_order::words;  ///< written by who moves, before any panel has
  std::byte* panels = nullptr;             ///< [panels, panel_bytes()]
  let_go done_with;                        ///< told of rows that have moved
  std::vector<std::uint16_t> groups;       ///< order of a panel's lower nibbles; written with `order`
  std::atomic<bool> used{false};
  std::atomic<bool> moving{false};
  std::atomic<std::size_t> moved{0};  ///< panels [0, moved) can be read

  panel_weight(const matrix_view& w, weight_use use, std::byte* memory, let_go told)
      : prepared_weight(own_layout), stored(w), may_be_ranked(can_be_ranked(w, use)), panels(memory), done_with(told) {
    if (has_levels(w.type)) order = panel_order::levels;
    if (may_be_ranked) groups.resize(w.columns / 8);
    for (std::size_t g = 0; g < groups.size(); ++g) groups[g] = static_cast<std::uint16_t>(g);
  }

  [[nodiscard]] std::size_t panel_bytes() const { return panel_size(stored.type, stored.columns, order); }
  [[nodiscard]] std::size_t count() const { return (stored.rows + panel_rows - 1) / panel_rows; }
  [[nodiscard]] bool has(std::size_t panel) const { return panel < moved.load(std::memory_order_acquire); }
  [[nodiscard]] bool settled() const { return moved.load(std::memory_order_acquire) == count(); }
};

}  // namespace cpu

/// Owns weights in panels for as long as a model uses them. Grows in large pieces of which only what is written takes
/// memory. Not for several threads at once.
class panel_store {
 public:
  /// A weight whose rows `w`, which outlive the store, will move into memory of the store. Null when memory has run out.
  [[nodiscard]] cpu::panel_weight* add(const matrix_view& w, weight_use use, let_go told);
  /// `bytes` bytes aligned to a cache line, or null when memory has run out.
  [[nodiscard]] std::byte* take(std::size_t bytes);
  /// Bytes handed out so far.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::align_val_t huge_page{std::size_t{1} << 21};
  static constexpr std::size_t piece = std::size_t{1} << 25;
  struct release {
    void operator()(std::byte* p) const { ::operator delete[](p, huge_page); }
  };
  std::vector<std::unique_ptr<std::byte[], release>> pieces_;
  std::deque<cpu::panel_weight> weights_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};

namespace cpu {

/// Exchanges of bits, each of those in `mask` with the one `distance` above it.
struct bit_exchange {
  std::uint32_t mask;
  int distance;
};

/// Bit 4v + i of a Q5_0 or Q5_1 block's fifth bits goes to bit v of the i-th byte: moved to bit 4, those of the v-th four
/// columns lie above the nibbles of the v-th interleaved word. Each exchange swaps two bits of every bit's number.
inline constexpr bit_exchange fifth_bits_by_byte[] = {{0x0a0a0a0au, 3}, {0x00cc00ccu, 6}, {0x0000f0f0u, 12}, {0x0000ff00u, 8}};

}  // namespace cpu
}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/panels.inl"  // IWYU pragma: keep
#endif
