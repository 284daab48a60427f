/// Rows of a file → panels of the kernels' order (`backend/cpu/panels.h` has the layout).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/backend/cpu/panels.h"
#include "g4/core/compiled.h"
#include "g4/ops/dequantise.h"

namespace g4::cpu {

/// Words word[0 … count) of one row's block go to every sixteenth place.
inline void spread_words(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(to + 64 * i, from + 4 * i, 4);
}

inline void spread_bytes(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i) to[16 * i] = from[i];
}

/// Where a block of the file has its levels, in 32-bit words: nibbles (or whole levels), and then, in a panel, fifth bits or
/// upper pairs.
struct block_words {
  std::size_t words_at;
  std::size_t words;
  std::size_t upper_at;
  std::size_t upper;
};

[[nodiscard]] constexpr block_words words_of(storage s) {
  switch (s) {
    case storage::q4_0: return {2, 4, 0, 0};
    case storage::q4_1: return {4, 4, 0, 0};
    case storage::q5_0: return {6, 4, 2, 1};
    case storage::q5_1: return {8, 4, 4, 1};
    case storage::q8_0: return {2, 8, 0, 0};
    case storage::q4_k: return {16, 32, 0, 0};
    case storage::q5_k: return {48, 32, 16, 8};
    case storage::q6_k: return {0, 32, 128, 16};
    case storage::q2_k: return {16, 16, 0, 0};
    case storage::q3_k: return {32, 16, 0, 8};
    case storage::iq4_nl: return {2, 4, 0, 0};
    case storage::iq4_xs: return {8, 32, 0, 0};
    case storage::mxfp4: return {1, 4, 0, 0};
    default: return {};
  }
}

/// The levels of one block of one row, to the row's own place in the panel's block.
inline void levels_to_panel(storage s, const std::byte* from, std::byte* to) {
  const block_words at = words_of(s);
  spread_words(from + at.words_at, at.words, to);
  if (at.upper == 1) {
    std::uint32_t fifth;
    std::memcpy(&fifth, from + at.upper_at, 4);
    for (const bit_exchange& e : fifth_bits_by_byte) {
      const std::uint32_t differ = (fifth ^ (fifth >> e.distance)) & e.mask;
      fifth ^= differ ^ (differ << e.distance);
    }
    std::memcpy(to + 64 * at.words, &fifth, 4);
  } else {
    spread_words(from + at.upper_at, at.upper, to + 64 * at.words);
  }
}

/// The scales of one block of one row: those of two bytes, and those of one.
inline void scales_to_panel(storage s, const std::byte* from, std::byte* scales2, std::byte* scales1) {
  const auto half = [&](std::size_t n, const std::byte* at) { std::memcpy(scales2 + 32 * n, at, 2); };
  switch (s) {
    case storage::q4_0:
    case storage::q5_0:
    case storage::q8_0:
    case storage::iq4_nl: half(0, from); break;
    case storage::q4_1:
    case storage::q5_1:
      half(0, from);
      half(1, from + 2);
      break;
    case storage::mxfp4: spread_bytes(from, 1, scales1); break;
    case storage::q2_k:
      half(0, from + 80);
      half(1, from + 82);
      spread_bytes(from, 16, scales1 + 64);
      break;
    case storage::q3_k: {
      half(0, from + 108);
      std::byte small[16];
      for (std::size_t i = 0; i < 16; ++i) small[i] = static_cast<std::byte>(g4::detail::q3_k_scale(from + 96, i));
      spread_bytes(small, 16, scales1 + 32);
      break;
    }
    case storage::iq4_xs: {
      half(0, from);
      const auto upper = g4::detail::load<std::uint16_t>(from + 2);
      std::byte small[8];
      for (std::size_t i = 0; i < 8; ++i)
        small[i] = static_cast<std::byte>(g4::detail::iq4_xs_scale(upper, from + 4, i));
      spread_bytes(small, 8, scales1 + 32);
      break;
    }
    case storage::q4_k:
    case storage::q5_k: {
      half(0, from);
      half(1, from + 2);
      std::byte small[16];  // 8 scales, 8 minima, unpacked from 6 bits each
      const std::byte* k = from + 4;
      for (std::size_t i = 0; i < 4; ++i) {
        small[i] = k[i] & std::byte{63};
        small[i + 8] = k[i + 4] & std::byte{63};
        small[i + 4] = (k[i + 8] & std::byte{15}) | ((k[i] >> 6) << 4);
        small[i + 12] = (k[i + 8] >> 4) | ((k[i + 4] >> 6) << 4);
      }
      spread_bytes(small, 16, scales1 + 64);
      break;
    }
    case storage::q6_k:
      half(0, from + 208);
      spread_bytes(from + 192, 16, scales1 + 32);
      break;
    default: break;
  }
}

/// Panel `panel` of w, in panel_size(w.type, w.columns) bytes. The kernel made of this: kernels/cpu/to_panels-inl.h.
inline void to_panel(const matrix_view& w, std::size_t panel, std::byte* out) {
  const storage_facts facts = facts_of(w.type);
  const std::size_t blocks = w.columns / facts.block_elements;
  const std::size_t level_bytes = panel_rows * panel_level_bytes(w.type);
  const std::size_t scale_bytes = panel_rows * panel_scale_bytes(w.type);
  const std::size_t first = panel * panel_rows;
  const std::size_t rows = std::min(panel_rows, w.rows - first);
  std::byte* levels = out;
  std::byte* scales = levels + blocks * level_bytes;
  if (rows < panel_rows) std::memset(out, 0, panel_size(w.type, w.columns));
  for (std::size_t b = 0; b < blocks; ++b, levels += level_bytes, scales += scale_bytes) {
    for (std::size_t r = 0; r < rows; ++r) {
      const std::byte* from = w.row(first + r) + b * facts.block_bytes;
      levels_to_panel(w.type, from, levels + 4 * r);
      scales_to_panel(w.type, from, scales + 2 * r, scales + r);
    }
  }
}

/// Block `block` of row r of a panel in the order of nibbles, as in a Q8_0 file.
G4_INLINE void join_nibbles(const std::byte* panel, std::size_t columns, const std::vector<std::uint16_t>& groups,
                            std::size_t r, std::size_t block, std::byte* to);

/// Row `row` of a weight whose panel has moved, in the file's form again: block `block` to `to`.
G4_INLINE void block_from_panel(const panel_weight& weight, std::size_t row, std::size_t block, std::byte* to);

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/to_panels.inl"  // IWYU pragma: keep
#endif
