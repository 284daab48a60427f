/// Weights in fragments: panels of 16 rows, as the lanes of a warp take them into the left operand of `mma_16x8x16`.
///
/// A panel is its columns in steps; a step is contiguous and holds the levels, lane by lane, and then the scales. Of every
/// 16 columns lane 4·g + t has 4t … 4t+3 of rows g and g + 8: which columns stand at which k of the product is one
/// permutation for weights and activations, and this one lets a lane read its activations in one piece.
///
/// Levels become half floats exactly, and a block's scale multiplies its float32 sum: weights are exact, but for those in
/// float32, which keep 22 bits of the largest beside them. An activation is two half floats, of which the second is what the first leaves:
/// two products, which cost nothing where a step waits for its weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/stored.cuh"

namespace g4::G4_SPACE {

constexpr unsigned panel_rows = 16;

/// What a step is multiplied with: `numbers` of y are a lane's, those of rows g and g + 8 two and two, and
///
///     multiply(d, upper, lower, column)   begins d += the product of 16 columns, those at `column` of the step, with a lane's
///                                         four numbers of both rows as two pairs each
///     finish(d)                           d is there
///     sum_of(i, block)                    Σ of the 32 columns at 32·block of the step, of the token of number i
///
/// Eight tokens, a warp's: numbers 0 and 2 are token 2t's, the others token 2t + 1's.
struct few_activations {
  static constexpr unsigned numbers = 4;
  const std::uint16_t* z;  ///< of token g, and what is left of each: together they have 22 bits
  const std::uint16_t* rest;
  const float *sum0, *sum1;  ///< of tokens 2t and 2t + 1

  G4_DEVICE void multiply(float (&d)[numbers], const unsigned (&upper)[2], const unsigned (&lower)[2],
                          unsigned column) const {
    const unsigned a[4] = {upper[0], lower[0], upper[1], lower[1]};
    const std::size_t at = column + 4 * (lane_index() % 4);
    const auto two = *reinterpret_cast<const uint2*>(z + at), left = *reinterpret_cast<const uint2*>(rest + at);
    const unsigned b[2] = {two.x, two.y}, c[2] = {left.x, left.y};
    mma_16x8x16::run(d, a, b);
    mma_16x8x16::run(d, a, c);
  }
  G4_DEVICE void finish(float (&)[numbers]) const {}
  G4_DEVICE float sum_of(unsigned i, unsigned block) const { return i % 2 == 0 ? sum0[block] : sum1[block]; }
};

/// y += d · sum, d0 being row g's and d1 row g + 8's.
template <unsigned N>
G4_DEVICE void add_scaled(float (&y)[N], const float (&sum)[N], float d0, float d1) {
  G4_UNROLL
  for (unsigned i = 0; i < N; ++i) y[i] += (i / 2 % 2 == 0 ? d0 : d1) * sum[i];
}

/// Pair p of eight 4-bit levels, as half floats: 1024 + level, less `nought` (1024 + what stands for 0).
G4_DEVICE unsigned four_bit_pair(unsigned word, unsigned p, unsigned nought) {
  return half2_minus((word >> (4 * p) & 0x000f000fu) | 0x64006400u, nought);
}
/// The same of four 8-bit levels.
G4_DEVICE unsigned eight_bit_pair(unsigned word, unsigned p, unsigned nought) {
  const unsigned two = word >> (16 * p);
  return half2_minus((two & 0xff) | (two >> 8 & 0xff) << 16 | 0x64006400u, nought);
}
/// Eight 4-bit levels of a row, columns 4t … 4t+3 of both halves of a block of 32: pair p is nibbles p and p + 4.
template <storage Type>
G4_DEVICE unsigned packed_nibbles(const byte* block, unsigned first, unsigned t) {
  unsigned word = 0;
  for (unsigned p = 0; p < 4; ++p) {
    const unsigned column = first + 16 * (p / 2) + 4 * t + 2 * (p % 2);
    word |= stored<Type>::level_at(block, column) << (4 * p) | stored<Type>::level_at(block, column + 1)
                                                                   << (4 * p + 16);
  }
  return word;
}
/// Four 8-bit levels of a row from `column` on.
template <storage Type>
G4_DEVICE unsigned packed_bytes(const byte* block, unsigned column) {
  unsigned word = 0;
  for (unsigned i = 0; i < 4; ++i) word |= stored<Type>::level_at(block, column + i) << (8 * i);
  return word;
}
G4_DEVICE void put_half(byte* at, unsigned bits) {
  *reinterpret_cast<std::uint16_t*>(at) = static_cast<std::uint16_t>(bits);
}
G4_DEVICE float get_half(const byte* at) { return float_of_half(*reinterpret_cast<const std::uint16_t*>(at)); }

/// A form: the columns and bytes of a step, how a warp packs one (`row` gives the stored row of panel row r at the step's
/// first column, or null beyond the last), and how it multiplies one: y[0], y[1] are row g's, y[2], y[3] row g + 8's, and so
/// on.
template <storage Type>
struct panels;

/// 16 lanes of both halves: [lane][half of 32 columns][row g, g + 8] four half floats.
template <storage Type>
struct plain_panels {
  static constexpr unsigned columns = 32, bytes = 1024;

  template <class Row>
  G4_DEVICE static void pack(byte* to, Row row) {
    const unsigned g = lane_index() / 4, t = lane_index() % 4;
    for (unsigned i = 0; i < 16; ++i) {
      const byte* const from = row(g + 8 * (i / 4 % 2));
      const unsigned column = 16 * (i / 8) + 4 * t + i % 4;
      put_half(to + 32 * lane_index() + 2 * i, from == nullptr ? 0 : half_bits(number_at<Type>(from, column)));
    }
  }
  template <class X>
  G4_DEVICE static void run(const byte* step, const X& x, float (&y)[X::numbers]) {
    G4_UNROLL
    for (unsigned h = 0; h < 2; ++h) {
      const auto four = *reinterpret_cast<const uint4*>(step + 32 * lane_index() + 16 * h);
      const unsigned upper[2] = {four.x, four.y}, lower[2] = {four.z, four.w};
      x.multiply(y, upper, lower, 16 * h);
    }
    x.finish(y);
  }
};
template <>
struct panels<storage::f16> : plain_panels<storage::f16> {};
template <>
struct panels<storage::bf16> : plain_panels<storage::bf16> {};

/// Each weight as two half floats, the second what the first leaves, times a power of two that brings the row's 32 into their
/// range: 22 bits of it. [first, rest] as `plain_panels`, then [16] what undoes the powers.
template <>
struct panels<storage::f32> {
  static constexpr unsigned columns = 32, rest = 1024, scales = 2048, bytes = 2112;

  template <class Row>
  G4_DEVICE static void pack(byte* to, Row row) {
    const unsigned g = lane_index() / 4, t = lane_index() % 4;
    for (unsigned r = 0; r < 2; ++r) {
      const byte* const from = row(g + 8 * r);
      const auto number = [from](unsigned i) { return from == nullptr ? 0.0f : number_at<storage::f32>(from, i); };
      float most = 0;
      for (unsigned i = 0; i < columns; ++i) most = fmaxf(most, fabsf(number(i)));
      const unsigned exponent = exponent_for_halves(most);
      for (unsigned i = 0; i < 8; ++i) {
        const float scaled = number(16 * (i / 4) + 4 * t + i % 4) * power_of(exponent);
        const unsigned first = half_bits(scaled);
        byte* const at = to + 32 * lane_index() + 16 * (i / 4) + 8 * r + 2 * (i % 4);
        put_half(at, first);
        put_half(at + rest, half_bits(scaled - float_of_half(first)));
      }
      if (t == 0) *reinterpret_cast<float*>(to + scales + 4 * (g + 8 * r)) = undoing(exponent);
    }
  }
  template <class X>
  G4_DEVICE static void run(const byte* step, const X& x, float (&y)[X::numbers]) {
    const unsigned g = lane_index() / 4;
    float sum[X::numbers] = {};
    for (unsigned h = 0; h < 4; ++h) {
      const auto four = *reinterpret_cast<const uint4*>(step + rest * (h / 2) + 32 * lane_index() + 16 * (h % 2));
      const unsigned upper[2] = {four.x, four.y}, lower[2] = {four.z, four.w};
      x.multiply(sum, upper, lower, 16 * (h % 2));
    }
    x.finish(sum);
    const float d0 = *reinterpret_cast<const float*>(step + scales + 4 * g);
    const float d1 = *reinterpret_cast<const float*>(step + scales + 4 * (g + 8));
    add_scaled(y, sum, d0, d1);
  }
};

/// [lane][row g, g + 8] eight levels, then [16] scales: 4.5 bits a weight, as in the file.
template <>
struct panels<storage::q4_0> {
  static constexpr unsigned columns = 32, bytes = 288;

  template <class Row>
  G4_DEVICE static void pack(byte* to, Row row) {
    const unsigned lane = lane_index();
    for (unsigned i = 0; i < 2; ++i) {
      const byte* const from = row(lane / 4 + 8 * i);
      reinterpret_cast<unsigned*>(to)[2 * lane + i] =
          from == nullptr ? 0 : packed_nibbles<storage::q4_0>(from, 0, lane % 4);
    }
    if (lane >= panel_rows) return;
    const byte* const from = row(lane);
    put_half(to + 256 + 2 * lane, from == nullptr ? 0 : bits16(from));
  }
  template <class X>
  G4_DEVICE static void run(const byte* step, const X& x, float (&y)[X::numbers]) {
    const unsigned g = lane_index() / 4;
    const auto levels = *reinterpret_cast<const uint2*>(step + 8 * lane_index());
    float sum[X::numbers] = {};
    for (unsigned h = 0; h < 2; ++h) {
      const unsigned upper[2] = {four_bit_pair(levels.x, 2 * h, 0x64086408u),
                                 four_bit_pair(levels.x, 2 * h + 1, 0x64086408u)};
      const unsigned lower[2] = {four_bit_pair(levels.y, 2 * h, 0x64086408u),
                                 four_bit_pair(levels.y, 2 * h + 1, 0x64086408u)};
      x.multiply(sum, upper, lower, 16 * h);
    }
    x.finish(sum);
    const float d0 = get_half(step + 256 + 2 * g), d1 = get_half(step + 272 + 2 * g);
    add_scaled(y, sum, d0, d1);
  }
};

/// [lane][half of 32 columns][row g, g + 8] four levels + 128, then [16] scales: 8.5 bits a weight, as in the file.
template <>
struct panels<storage::q8_0> {
  static constexpr unsigned columns = 32, bytes = 544;

  template <class Row>
  G4_DEVICE static void pack(byte* to, Row row) {
    const unsigned lane = lane_index();
    for (unsigned i = 0; i < 4; ++i) {
      const byte* const from = row(lane / 4 + 8 * (i % 2));
      reinterpret_cast<unsigned*>(to)[4 * lane + i] =
          from == nullptr ? 0 : packed_bytes<storage::q8_0>(from, 16 * (i / 2) + 4 * (lane % 4));
    }
    if (lane >= panel_rows) return;
    const byte* const from = row(lane);
    put_half(to + 512 + 2 * lane, from == nullptr ? 0 : bits16(from));
  }
  template <class X>
  G4_DEVICE static void run(const byte* step, const X& x, float (&y)[X::numbers]) {
    constexpr unsigned nought = 0x64806480u;  // 1024 + 128
    const unsigned g = lane_index() / 4;
    const auto levels = *reinterpret_cast<const uint4*>(step + 16 * lane_index());
    float sum[X::numbers] = {};
    for (unsigned h = 0; h < 2; ++h) {
      const unsigned up = h == 0 ? levels.x : levels.z, low = h == 0 ? levels.y : levels.w;
      const unsigned upper[2] = {eight_bit_pair(up, 0, nought), eight_bit_pair(up, 1, nought)};
      const unsigned lower[2] = {eight_bit_pair(low, 0, nought), eight_bit_pair(low, 1, nought)};
      x.multiply(sum, upper, lower, 16 * h);
    }
    x.finish(sum);
    const float d0 = get_half(step + 512 + 2 * g), d1 = get_half(step + 528 + 2 * g);
    add_scaled(y, sum, d0, d1);
  }
};

/// [8 sub-blocks][lane][row g, g + 8] eight levels, [8][16] scale and minimum, [16] d and dmin: 4.625 bits a weight.
///
///     y += d · scale · Σ q·x − dmin · minimum · Σ x
template <>
struct panels<storage::q4_k> {
  static constexpr unsigned columns = 256, scales = 2048, ds = 2304, bytes = 2368;

  template <class Row>
  G4_DEVICE static void pack(byte* to, Row row) {
    const unsigned lane = lane_index();
    for (unsigned i = 0; i < 16; ++i) {
      const byte* const from = row(lane / 4 + 8 * (i % 2));
      reinterpret_cast<unsigned*>(to)[64 * (i / 2) + 2 * lane + i % 2] =
          from == nullptr ? 0 : packed_nibbles<storage::q4_k>(from, 32 * (i / 2), lane % 4);
    }
    if (lane >= panel_rows) return;
    const byte* const from = row(lane);
    for (unsigned s = 0; s < 8; ++s) {
      const k_scale of = from == nullptr ? k_scale{0, 0} : k_scale_at(from, s);
      to[scales + 32 * s + 2 * lane] = static_cast<byte>(of.scale);
      to[scales + 32 * s + 2 * lane + 1] = static_cast<byte>(of.minimum);
    }
    put_half(to + ds + 4 * lane, from == nullptr ? 0 : bits16(from));
    put_half(to + ds + 4 * lane + 2, from == nullptr ? 0 : bits16(from + 2));
  }
  template <class X>
  G4_DEVICE static void run(const byte* step, const X& x, float (&y)[X::numbers]) {
    constexpr unsigned nought = 0x64006400u;
    const unsigned g = lane_index() / 4;
    const float d0 = get_half(step + ds + 4 * g), m0 = get_half(step + ds + 4 * g + 2);
    const float d1 = get_half(step + ds + 4 * (g + 8)), m1 = get_half(step + ds + 4 * (g + 8) + 2);
    for (unsigned s = 0; s < 8; ++s) {
      const auto levels = *reinterpret_cast<const uint2*>(step + 256 * s + 8 * lane_index());
      float sum[X::numbers] = {};
      for (unsigned h = 0; h < 2; ++h) {
        const unsigned upper[2] = {four_bit_pair(levels.x, 2 * h, nought), four_bit_pair(levels.x, 2 * h + 1, nought)};
        const unsigned lower[2] = {four_bit_pair(levels.y, 2 * h, nought), four_bit_pair(levels.y, 2 * h + 1, nought)};
        x.multiply(sum, upper, lower, 32 * s + 16 * h);
      }
      const byte* const of = step + scales + 32 * s;
      const float s0 = d0 * level(of[2 * g], 0), s1 = d1 * level(of[2 * g + 16], 0);
      const float o0 = m0 * level(of[2 * g + 1], 0), o1 = m1 * level(of[2 * g + 17], 0);
      x.finish(sum);
      G4_UNROLL
      for (unsigned i = 0; i < X::numbers; ++i) {
        y[i] += (i / 2 % 2 == 0 ? s0 : s1) * sum[i] - (i / 2 % 2 == 0 ? o0 : o1) * x.sum_of(i, s);
      }
    }
  }
};

/// [8 blocks of 32][lane][half][row g, g + 8] four levels + 32, [16 sub-blocks][16] scales, [16] d.
template <>
struct panels<storage::q6_k> {
  static constexpr unsigned columns = 256, scales = 4096, ds = 4352, bytes = 4384;

  template <class Row>
  G4_DEVICE static void pack(byte* to, Row row) {
    const unsigned lane = lane_index();
    for (unsigned i = 0; i < 32; ++i) {
      const byte* const from = row(lane / 4 + 8 * (i % 2));
      reinterpret_cast<unsigned*>(to)[128 * (i / 4) + 4 * lane + i % 4] =
          from == nullptr ? 0 : packed_bytes<storage::q6_k>(from, 16 * (i / 2) + 4 * (lane % 4));
    }
    if (lane >= panel_rows) return;
    const byte* const from = row(lane);
    for (unsigned s = 0; s < 16; ++s) to[scales + 16 * s + lane] = from == nullptr ? byte{0} : from[192 + s];
    put_half(to + ds + 2 * lane, from == nullptr ? 0 : bits16(from + 208));
  }
  template <class X>
  G4_DEVICE static void run(const byte* step, const X& x, float (&y)[X::numbers]) {
    constexpr unsigned nought = 0x64206420u;  // 1024 + 32
    const unsigned g = lane_index() / 4;
    const float d0 = get_half(step + ds + 2 * g), d1 = get_half(step + ds + 2 * (g + 8));
    for (unsigned s = 0; s < 16; ++s) {
      const auto levels = *reinterpret_cast<const uint2*>(step + 512 * (s / 2) + 16 * lane_index() + 8 * (s % 2));
      const unsigned upper[2] = {eight_bit_pair(levels.x, 0, nought), eight_bit_pair(levels.x, 1, nought)};
      const unsigned lower[2] = {eight_bit_pair(levels.y, 0, nought), eight_bit_pair(levels.y, 1, nought)};
      float sum[X::numbers] = {};
      x.multiply(sum, upper, lower, 16 * s);
      x.finish(sum);
      const float s0 = d0 * signed_at(step + scales + 16 * s + g), s1 = d1 * signed_at(step + scales + 16 * s + g + 8);
      add_scaled(y, sum, s0, s1);
    }
  }
};

}  // namespace g4::G4_SPACE
