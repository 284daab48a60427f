#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "g4/backend/cpu/to_panels.h"

namespace g4::cpu {

G4_INLINE void join_nibbles(const std::byte* panel, std::size_t columns, const std::vector<std::uint16_t>& groups,
                            std::size_t r, std::size_t block, std::byte* to) {
  const nibble_panel at = nibble_panel_of(columns);
  std::memcpy(to, panel + at.scales + 32 * block + 2 * r, 2);
  for (std::size_t w = 0; w < 4; ++w) {
    std::uint32_t upper, lower;
    std::memcpy(&upper, panel + 256 * block + 64 * w + 4 * r, 4);
    const auto place = std::find(groups.begin(), groups.end(), 4 * block + w) - groups.begin();
    std::memcpy(&lower, panel + at.lower + 64 * static_cast<std::size_t>(place) + 4 * r, 4);
    const std::uint32_t even = (upper & 0xf0f0f0f0u) | (lower & 0x0f0f0f0fu);
    const std::uint32_t odd = ((upper << 4) & 0xf0f0f0f0u) | ((lower >> 4) & 0x0f0f0f0fu);
    std::memcpy(to + 2 + 8 * w, &even, 4);
    std::memcpy(to + 6 + 8 * w, &odd, 4);
  }
}

G4_INLINE void block_from_panel(const panel_weight& weight, std::size_t row, std::size_t block, std::byte* to) {
  const storage s = weight.stored.type;
  const std::size_t columns = weight.stored.columns;
  const std::size_t blocks = columns / facts_of(s).block_elements;
  const std::size_t r = row % panel_rows;
  const std::byte* panel = weight.panels + row / panel_rows * weight.panel_bytes();
  if (weight.order == panel_order::nibbles) return join_nibbles(panel, columns, weight.groups, r, block, to);
  const std::byte* levels = panel + block * panel_rows * panel_level_bytes(s) + 4 * r;
  const std::byte* scales =
      panel + blocks * panel_rows * panel_level_bytes(s) + block * panel_rows * panel_scale_bytes(s);
  const auto half = [&](std::size_t n, std::byte* at) { std::memcpy(at, scales + 32 * n + 2 * r, 2); };
  const auto gather_words = [&](std::size_t from, std::size_t count, std::byte* at) {
    for (std::size_t i = 0; i < count; ++i) std::memcpy(at + 4 * i, levels + 64 * (from + i), 4);
  };
  const block_words at = words_of(s);
  gather_words(0, at.words, to + at.words_at);
  if (at.upper == 1) {
    std::uint32_t by_byte;
    std::memcpy(&by_byte, levels + 64 * at.words, 4);
    std::uint32_t fifth = 0;
    for (unsigned e = 0; e < 32; ++e) {
      fifth |= ((by_byte >> (8 * (e % 4) + e / 4)) & 1u) << e;
    }
    std::memcpy(to + at.upper_at, &fifth, 4);
  } else {
    gather_words(at.words, at.upper, to + at.upper_at);
  }
  switch (s) {
    case storage::q4_0:
    case storage::q5_0:
    case storage::q8_0:
    case storage::iq4_nl: half(0, to); break;
    case storage::q4_1:
    case storage::q5_1:
      half(0, to);
      half(1, to + 2);
      break;
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
      break;
    }
    case storage::mxfp4: to[0] = scales[r]; break;
    case storage::q2_k:
      half(0, to + 80);
      half(1, to + 82);
      for (std::size_t i = 0; i < 16; ++i) to[i] = scales[64 + 16 * i + r];
      break;
    case storage::q3_k: {
      half(0, to + 108);
      const auto small = [&](std::size_t i) {
        return static_cast<std::byte>(std::to_integer<unsigned>(scales[32 + 16 * i + r]) + 32);
      };
      for (std::size_t i = 0; i < 8; ++i) to[96 + i] = (small(i) & std::byte{15}) | (small(i + 8) << 4);
      for (std::size_t i = 0; i < 4; ++i) {
        const auto upper = [&](std::size_t j) { return (small(i + 4 * j) >> 4) << (2 * j); };
        to[104 + i] = upper(0) | upper(1) | upper(2) | upper(3);
      }
      break;
    }
    case storage::iq4_xs: {
      half(0, to);
      unsigned upper = 0;
      for (std::size_t i = 0; i < 8; ++i) {
        const unsigned small = (std::to_integer<unsigned>(scales[32 + 16 * i + r]) + 32) & 63u;
        upper |= (small >> 4) << (2 * i);
        const auto lower = static_cast<std::byte>(small & 15u);
        to[4 + i / 2] = i % 2 == 0 ? lower : to[4 + i / 2] | (lower << 4);
      }
      to[2] = static_cast<std::byte>(upper & 255u);
      to[3] = static_cast<std::byte>(upper >> 8);
      break;
    }
    case storage::q6_k:
      half(0, to + 208);
      for (std::size_t i = 0; i < 16; ++i) to[192 + i] = scales[32 + 16 * i + r];
      break;
    default: break;
  }
}

}  // namespace g4::cpu
