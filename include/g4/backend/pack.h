/// Rows of a file → panels of the kernels' order (`backend/packed.h` has the layout).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/backend/packed.h"

namespace g4::cpu {

namespace detail {

/// Words word[0 … count) of one row's block go to every sixteenth place.
inline void spread_words(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(to + 64 * i, from + 4 * i, 4);
}

inline void spread_bytes(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i) to[16 * i] = from[i];
}

/// One block of one row. `levels` and `scales` point to the row's own place in the panel's block.
inline void pack_block(storage s, const std::byte* from, std::byte* levels, std::byte* scales2, std::byte* scales1) {
  const auto half = [&](std::size_t n, const std::byte* at) { std::memcpy(scales2 + 32 * n, at, 2); };
  switch (s) {
    case storage::q4_0:
    case storage::q8_0:
      half(0, from);
      spread_words(from + 2, s == storage::q8_0 ? 8 : 4, levels);
      break;
    case storage::q4_1:
      half(0, from);
      half(1, from + 2);
      spread_words(from + 4, 4, levels);
      break;
    case storage::q5_0:
    case storage::q5_1: {
      half(0, from);
      if (s == storage::q5_1) half(1, from + 2);
      const std::byte* at = from + (s == storage::q5_1 ? 4 : 2);
      std::uint32_t fifth;
      std::memcpy(&fifth, at, 4);
      fifth = fifth_bits_by_half(fifth);
      spread_words(at + 4, 4, levels);
      std::memcpy(levels + 64 * 4, &fifth, 4);
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
      if (s == storage::q4_k) {
        spread_words(from + 16, 32, levels);
      } else {
        spread_words(from + 48, 32, levels);
        spread_words(from + 16, 8, levels + 64 * 32);
      }
      break;
    }
    case storage::q6_k:
      half(0, from + 208);
      spread_bytes(from + 192, 16, scales1 + 32);
      spread_words(from, 48, levels);  // nibbles and upper pairs follow one another in the file too
      break;
    default: break;
  }
}

}  // namespace detail

/// Panel `panel` of w at its place in `out` (packed_bytes(w) bytes, header first).
inline void pack_panel(const matrix_view& w, std::size_t panel, std::byte* out) {
  const storage_facts facts = facts_of(w.type);
  const std::size_t blocks = w.columns / facts.block_elements;
  const std::size_t level_bytes = panel_rows * packed_level_bytes(w.type);
  const std::size_t scale_bytes = panel_rows * packed_scale_bytes(w.type);
  const std::size_t panel_bytes = packed_panel_bytes(w.type, w.columns);
  const std::size_t first = panel * panel_rows;
  const std::size_t rows = std::min(panel_rows, w.rows - first);
  std::byte* levels = out + packed_header_bytes + panel * panel_bytes;
  std::byte* scales = levels + blocks * level_bytes;
  if (rows < panel_rows) std::memset(levels, 0, panel_bytes);
  for (std::size_t b = 0; b < blocks; ++b, levels += level_bytes, scales += scale_bytes) {
    for (std::size_t r = 0; r < rows; ++r) {
      detail::pack_block(w.type, w.row(first + r) + b * facts.block_bytes, levels + 4 * r, scales + 2 * r, scales + r);
    }
  }
}

/// Row `row` of a packed weight, in the file's form again, one block at a time: block `block` to `to`.
inline void unpack_block(const matrix_view& packed, storage s, std::size_t row, std::size_t block, std::byte* to) {
  const std::size_t blocks = packed.columns / facts_of(s).block_elements;
  const std::size_t r = row % panel_rows;
  const std::byte* panel = packed.data + packed_header_bytes + row / panel_rows * packed_panel_bytes(s, packed.columns);
  const std::byte* levels = panel + block * panel_rows * packed_level_bytes(s) + 4 * r;
  const std::byte* scales =
      panel + blocks * panel_rows * packed_level_bytes(s) + block * panel_rows * packed_scale_bytes(s);
  const auto half = [&](std::size_t n, std::byte* at) { std::memcpy(at, scales + 32 * n + 2 * r, 2); };
  const auto gather_words = [&](std::size_t from, std::size_t count, std::byte* at) {
    for (std::size_t i = 0; i < count; ++i) std::memcpy(at + 4 * i, levels + 64 * (from + i), 4);
  };
  switch (s) {
    case storage::q4_0:
    case storage::q8_0:
      half(0, to);
      gather_words(0, s == storage::q8_0 ? 8 : 4, to + 2);
      break;
    case storage::q4_1:
      half(0, to);
      half(1, to + 2);
      gather_words(0, 4, to + 4);
      break;
    case storage::q5_0:
    case storage::q5_1: {
      half(0, to);
      if (s == storage::q5_1) half(1, to + 2);
      std::byte* at = to + (s == storage::q5_1 ? 4 : 2);
      std::uint32_t by_half;
      std::memcpy(&by_half, levels + 64 * 4, 4);
      std::uint32_t fifth = 0;
      for (unsigned e = 0; e < 32; ++e) {
        const unsigned place = 16 * (e / 2 % 2) + 2 * (e / 4) + e % 2;
        fifth |= ((by_half >> place) & 1u) << e;
      }
      std::memcpy(at, &fifth, 4);
      gather_words(0, 4, at + 4);
      break;
    }
    case storage::q4_k:
    case storage::q5_k: {
      half(0, to);
      half(1, to + 2);
      const auto small = [&](std::size_t i) { return scales[64 + 16 * i + r]; };
      for (std::size_t i = 0; i < 4; ++i) {
        to[4 + i] = small(i) | ((small(i + 4) >> 4) << 6);
        to[8 + i] = small(i + 8) | ((small(i + 12) >> 4) << 6);
        to[12 + i] = (small(i + 4) & std::byte{15}) | (small(i + 12) << 4);
      }
      gather_words(0, 32, to + (s == storage::q4_k ? 16 : 48));
      if (s == storage::q5_k) gather_words(32, 8, to + 16);
      break;
    }
    case storage::q6_k:
      half(0, to + 208);
      for (std::size_t i = 0; i < 16; ++i) to[192 + i] = scales[32 + 16 * i + r];
      gather_words(0, 48, to);
      break;
    default: break;
  }
}

/// What a packed weight was made from.
[[nodiscard]] inline storage origin_of(const matrix_view& packed) {
  packed_header header;
  std::memcpy(&header, packed.data, sizeof header);
  return header.origin;
}

}  // namespace g4::cpu
