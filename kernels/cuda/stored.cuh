/// One number of a stored weight: `ops/dequantise.h` number by number, as the lanes of a warp take them.
///
/// Blocks lie at odd addresses, so they are read byte by byte. Products of levels and scales are exact, as there: the
/// same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/core/small_float.h"
#include "g4/ops/dequantise.h"
#include "g4/tensor/storage.h"
#include "kernels/cuda/device.cuh"

namespace g4::G4_SPACE {

using byte = unsigned char;

G4_DEVICE unsigned bits16(const byte* at) { return at[0] | static_cast<unsigned>(at[1]) << 8; }
G4_DEVICE float half_at(const byte* at) { return float_from_f16(static_cast<std::uint16_t>(bits16(at))); }
/// Level j of 32 in 16 bytes: the low halves are the first 16.
G4_DEVICE unsigned nibble(const byte* q, unsigned j) { return q[j % 16] >> (j / 16 * 4) & 15u; }
G4_DEVICE float level(unsigned q, int nought) { return static_cast<float>(static_cast<int>(q) - nought); }
G4_DEVICE float signed_at(const byte* at) { return static_cast<float>(static_cast<signed char>(*at)); }

/// Sixteen levels as two words, since a kernel cannot index a constant of the host.
struct packed_levels {
  std::uint64_t first = 0, second = 0;

  explicit constexpr packed_levels(const std::int8_t (&levels)[16]) {
    for (int i = 0; i < 8; ++i) {
      first |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(levels[i])) << (8 * i);
      second |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(levels[8 + i])) << (8 * i);
    }
  }
};
G4_DEVICE float level_of(std::uint64_t first, std::uint64_t second, unsigned q) {
  return static_cast<float>(static_cast<signed char>((q < 8 ? first : second) >> (8 * (q % 8)) & 0xff));
}
G4_DEVICE float iq4_level(unsigned q) {
  constexpr packed_levels all(iq4_levels);
  return level_of(all.first, all.second, q);
}
G4_DEVICE float mxfp4_level(unsigned q) {
  constexpr packed_levels all(mxfp4_levels);
  return level_of(all.first, all.second, q);
}

/// A storage: numbers and bytes of a block, and number j of the block at `b`.
template <storage Type>
struct stored;

template <>
struct stored<storage::f32> {
  static constexpr unsigned numbers = 1, bytes = 4;
  G4_DEVICE static float at(const byte* b, unsigned) { return *reinterpret_cast<const float*>(b); }
};
template <>
struct stored<storage::f16> {
  static constexpr unsigned numbers = 1, bytes = 2;
  G4_DEVICE static float at(const byte* b, unsigned) { return half_at(b); }
};
template <>
struct stored<storage::bf16> {
  static constexpr unsigned numbers = 1, bytes = 2;
  G4_DEVICE static float at(const byte* b, unsigned) { return float_from_bf16(static_cast<std::uint16_t>(bits16(b))); }
};
template <>
struct stored<storage::q4_0> {
  static constexpr unsigned numbers = 32, bytes = 18;
  G4_DEVICE static float at(const byte* b, unsigned j) { return half_at(b) * level(level_at(b, j), 8); }
  G4_DEVICE static unsigned level_at(const byte* b, unsigned j) { return nibble(b + 2, j); }
};
template <>
struct stored<storage::q4_1> {
  static constexpr unsigned numbers = 32, bytes = 20;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    return half_at(b) * level(nibble(b + 4, j), 0) + half_at(b + 2);
  }
};
template <>
struct stored<storage::q5_0> {
  static constexpr unsigned numbers = 32, bytes = 22;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    const unsigned fifth = b[2 + j / 8] >> (j % 8) & 1u;
    return half_at(b) * level(nibble(b + 6, j) | fifth << 4, 16);
  }
};
template <>
struct stored<storage::q5_1> {
  static constexpr unsigned numbers = 32, bytes = 24;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    const unsigned fifth = b[4 + j / 8] >> (j % 8) & 1u;
    return half_at(b) * level(nibble(b + 8, j) | fifth << 4, 0) + half_at(b + 2);
  }
};
template <>
struct stored<storage::q8_0> {
  static constexpr unsigned numbers = 32, bytes = 34;
  G4_DEVICE static float at(const byte* b, unsigned j) { return half_at(b) * level(level_at(b, j), 128); }
  G4_DEVICE static unsigned level_at(const byte* b, unsigned j) { return b[2 + j] ^ 128u; }
};

struct k_scale {
  unsigned scale, minimum;
};
/// Scale and minimum of sub-block j of Q4_K and Q5_K, whose packing `ops/dequantise.h` describes.
G4_DEVICE k_scale k_scale_at(const byte* b, unsigned j) {
  const byte* const s = b + 4;
  if (j < 4) return {s[j] & 63u, s[j + 4] & 63u};
  return {(s[j + 4] & 15u) | (s[j - 4] >> 6 << 4), static_cast<unsigned>(s[j + 4] >> 4) | (s[j] >> 6 << 4)};
}
G4_DEVICE float k_number(const byte* b, unsigned j, unsigned q) {
  const k_scale of = k_scale_at(b, j);
  return half_at(b) * level(of.scale, 0) * level(q, 0) - half_at(b + 2) * level(of.minimum, 0);
}
template <>
struct stored<storage::q4_k> {
  static constexpr unsigned numbers = 256, bytes = 144;
  G4_DEVICE static float at(const byte* b, unsigned j) { return k_number(b, j / 32, level_at(b, j)); }
  G4_DEVICE static unsigned level_at(const byte* b, unsigned j) {
    const unsigned sub = j / 32;
    return b[16 + 32 * (sub / 2) + j % 32] >> (4 * (sub % 2)) & 15u;
  }
};
template <>
struct stored<storage::q5_k> {
  static constexpr unsigned numbers = 256, bytes = 176;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    const unsigned sub = j / 32;
    const unsigned lower = b[48 + 32 * (sub / 2) + j % 32] >> (4 * (sub % 2)) & 15u;
    return k_number(b, sub, lower | (b[16 + j % 32] >> sub & 1u) << 4);
  }
};
template <>
struct stored<storage::q6_k> {
  static constexpr unsigned numbers = 256, bytes = 210;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    return half_at(b + 208) * signed_at(b + 192 + j / 16) * level(level_at(b, j), 32);
  }
  G4_DEVICE static unsigned level_at(const byte* b, unsigned j) {
    const unsigned half = j / 128, part = j / 32 % 4, l = j % 32;
    const unsigned lower = b[64 * half + 32 * (part % 2) + l] >> (4 * (part / 2)) & 15u;
    return lower | (b[128 + 32 * half + l] >> (2 * part) & 3u) << 4;
  }
};
template <>
struct stored<storage::q2_k> {
  static constexpr unsigned numbers = 256, bytes = 84;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    const unsigned both = b[j / 16], q = b[16 + 32 * (j / 128) + j % 32] >> (2 * (j / 32 % 4)) & 3u;
    return half_at(b + 80) * level(both & 15u, 0) * level(q, 0) - half_at(b + 82) * level(both >> 4, 0);
  }
};
template <>
struct stored<storage::q3_k> {
  static constexpr unsigned numbers = 256, bytes = 110;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    const byte* const s = b + 96;
    const unsigned sub = j / 16;
    const unsigned scale = (s[sub % 8] >> (sub / 8 * 4) & 15u) | (s[8 + sub % 4] >> (2 * (sub / 4)) & 3u) << 4;
    const unsigned pair = b[32 + 32 * (j / 128) + j % 32] >> (2 * (j / 32 % 4)) & 3u;
    const unsigned third = b[j % 32] >> (j / 32) & 1u;
    return half_at(b + 108) * level(scale, 32) * level(pair | third << 2, 4);
  }
};
template <>
struct stored<storage::iq4_nl> {
  static constexpr unsigned numbers = 32, bytes = 18;
  G4_DEVICE static float at(const byte* b, unsigned j) { return half_at(b) * iq4_level(nibble(b + 2, j)); }
};
template <>
struct stored<storage::iq4_xs> {
  static constexpr unsigned numbers = 256, bytes = 136;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    const unsigned sub = j / 32;
    const unsigned scale = (b[4 + sub / 2] >> (4 * (sub % 2)) & 15u) | (bits16(b + 2) >> (2 * sub) & 3u) << 4;
    return half_at(b) * level(scale, 32) * iq4_level(nibble(b + 8 + 16 * sub, j % 32));
  }
};
template <>
struct stored<storage::mxfp4> {
  static constexpr unsigned numbers = 32, bytes = 17;
  G4_DEVICE static float at(const byte* b, unsigned j) {
    // 2^(e − 128): levels are kept doubled. The smallest two are subnormal.
    const std::uint32_t e = b[0];
    const float d = std::bit_cast<float>(e < 2 ? std::uint32_t{0x00200000} << e : (e - 1) << 23);
    return d * mxfp4_level(nibble(b + 1, j));
  }
};

/// Number i of a row.
template <storage Type>
G4_DEVICE float number_at(const byte* row, std::size_t i) {
  using one = stored<Type>;
  return one::at(row + i / one::numbers * one::bytes, static_cast<unsigned>(i % one::numbers));
}

/// The same of a storage that is known when the kernel runs.
G4_DEVICE float number_at(storage type, const byte* row, std::size_t i) {
  switch (type) {
    case storage::f32: return number_at<storage::f32>(row, i);
    case storage::f16: return number_at<storage::f16>(row, i);
    case storage::bf16: return number_at<storage::bf16>(row, i);
    case storage::q4_0: return number_at<storage::q4_0>(row, i);
    case storage::q4_1: return number_at<storage::q4_1>(row, i);
    case storage::q5_0: return number_at<storage::q5_0>(row, i);
    case storage::q5_1: return number_at<storage::q5_1>(row, i);
    case storage::q8_0: return number_at<storage::q8_0>(row, i);
    case storage::q4_k: return number_at<storage::q4_k>(row, i);
    case storage::q5_k: return number_at<storage::q5_k>(row, i);
    case storage::q6_k: return number_at<storage::q6_k>(row, i);
    case storage::q2_k: return number_at<storage::q2_k>(row, i);
    case storage::q3_k: return number_at<storage::q3_k>(row, i);
    case storage::iq4_nl: return number_at<storage::iq4_nl>(row, i);
    case storage::iq4_xs: return number_at<storage::iq4_xs>(row, i);
    case storage::mxfp4: return number_at<storage::mxfp4>(row, i);
    case storage::f64:
    case storage::i16: break;  // caches of other backends
  }
  return 0;
}

G4_DEVICE const byte* row_of(const gpu_calls::stored_matrix& w, std::size_t row) {
  return reinterpret_cast<const byte*>(w.data) + row * w.stride;
}

}  // namespace g4::G4_SPACE
