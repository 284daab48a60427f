/// What a stored weight means: every storage, as plain numbers.
///
/// Source: the block layouts of ggml (ggml-common.h, and dequantize_row_* in ggml-quants.c). All fields are
/// little-endian; a block's scales d, m and dmin are half floats (MXFP4's is a power of two).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/core/small_float.h"
#include "g4/tensor/storage.h"

namespace g4 {

static_assert(std::endian::native == std::endian::little,
              "g4: checkpoint files are read in place, so g4 needs a little-endian machine.");

namespace detail {

/// A number at an address that need not be aligned: blocks of 18 or 34 bytes never are.
template <class Number>
[[nodiscard]] inline Number load(const std::byte* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

[[nodiscard]] inline float load_f16(const std::byte* at) { return float_from_f16(load<std::uint16_t>(at)); }
[[nodiscard]] inline unsigned low(std::byte b) { return std::to_integer<unsigned>(b) & 15u; }
[[nodiscard]] inline unsigned high(std::byte b) { return std::to_integer<unsigned>(b) >> 4; }

/// Scale and minimum of sub-block j of a Q4_K or Q5_K block: eight pairs of 6-bit numbers in 12 bytes.
///
///     j < 4:  scale = s[j] & 63                              minimum = s[j+4] & 63
///     else:   scale = (s[j+4] & 15) | (s[j−4] >> 6) << 4     minimum = (s[j+4] >> 4) | (s[j] >> 6) << 4
struct scale_and_minimum {
  float scale;
  float minimum;
};
[[nodiscard]] inline scale_and_minimum sub_block(const std::byte* s, std::size_t j) {
  const auto at = [s](std::size_t i) { return std::to_integer<unsigned>(s[i]); };
  if (j < 4) return {static_cast<float>(at(j) & 63u), static_cast<float>(at(j + 4) & 63u)};
  return {static_cast<float>((at(j + 4) & 15u) | ((at(j - 4) >> 6) << 4)),
          static_cast<float>((at(j + 4) >> 4) | ((at(j) >> 6) << 4))};
}

/// Scale of sub-block j of a Q3_K block: sixteen 6-bit numbers in 12 bytes, 32 too large.
///
///     low four bits    s[j] & 15 or, from the eighth on, s[j−8] >> 4
///     upper two bits   (s[8 + j mod 4] >> 2·(j div 4)) & 3
[[nodiscard]] inline int q3_k_scale(const std::byte* s, std::size_t j) {
  const unsigned lower = j < 8 ? low(s[j]) : high(s[j - 8]);
  const unsigned upper = (std::to_integer<unsigned>(s[8 + j % 4]) >> (2 * (j / 4))) & 3u;
  return static_cast<int>(lower | (upper << 4)) - 32;
}

/// Scale of sub-block j of an IQ4_XS block: low four bits in the nibbles of s, upper two in the 16 bits `upper`.
[[nodiscard]] inline int iq4_xs_scale(unsigned upper, const std::byte* s, std::size_t j) {
  const unsigned lower = j % 2 == 0 ? low(s[j / 2]) : high(s[j / 2]);
  return static_cast<int>(lower | (((upper >> (2 * j)) & 3u) << 4)) - 32;
}

/// 2^(e − 128): half the power of two that eight bits of exponent say, for levels that are kept doubled. The smallest
/// two are subnormal.
[[nodiscard]] inline float half_power_of_two(std::byte e) {
  const auto bits = std::to_integer<std::uint32_t>(e);
  return std::bit_cast<float>(bits < 2 ? std::uint32_t{0x00200000} << bits : (bits - 1) << 23);
}

}  // namespace detail

/// What the four bits of IQ4_NL and IQ4_XS stand for.
inline constexpr std::int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

/// Twice what the four bits of MXFP4 stand for: a sign, two bits of exponent and one of mantissa.
inline constexpr std::int8_t mxfp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// One block → numbers. The products below are exact in float32 (11 bits of d, at most 7 of scale and 6 of q), so only
/// the final sum rounds, and a compiler that fuses multiply and add computes the same bits.
namespace block {

/// (q − 8)·d; byte j holds elements j (low) and j + 16 (high).
template <class Scalar>
void q4_0(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  for (std::size_t j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(static_cast<int>(detail::low(b[2 + j])) - 8);
    y[j + 16] = d * static_cast<float>(static_cast<int>(detail::high(b[2 + j])) - 8);
  }
}

/// q·d + m
template <class Scalar>
void q4_1(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  const float m = detail::load_f16(b + 2);
  for (std::size_t j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(detail::low(b[4 + j])) + m;
    y[j + 16] = d * static_cast<float>(detail::high(b[4 + j])) + m;
  }
}

/// (q − 16)·d; the fifth bit of element j is bit j of a 32-bit word.
template <class Scalar>
void q5_0(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  const auto fifth = detail::load<std::uint32_t>(b + 2);
  for (std::size_t j = 0; j < 16; ++j) {
    const unsigned first = detail::low(b[6 + j]) | (((fifth >> j) & 1u) << 4);
    const unsigned second = detail::high(b[6 + j]) | (((fifth >> (j + 16)) & 1u) << 4);
    y[j] = d * static_cast<float>(static_cast<int>(first) - 16);
    y[j + 16] = d * static_cast<float>(static_cast<int>(second) - 16);
  }
}

/// q·d + m, fifth bits as in q5_0.
template <class Scalar>
void q5_1(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  const float m = detail::load_f16(b + 2);
  const auto fifth = detail::load<std::uint32_t>(b + 4);
  for (std::size_t j = 0; j < 16; ++j) {
    const unsigned first = detail::low(b[8 + j]) | (((fifth >> j) & 1u) << 4);
    const unsigned second = detail::high(b[8 + j]) | (((fifth >> (j + 16)) & 1u) << 4);
    y[j] = d * static_cast<float>(first) + m;
    y[j + 16] = d * static_cast<float>(second) + m;
  }
}

/// q·d
template <class Scalar>
void q8_0(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  for (std::size_t j = 0; j < 32; ++j) y[j] = d * static_cast<float>(detail::load<std::int8_t>(b + 2 + j));
}

/// d·scale·q − dmin·minimum; each 32 bytes hold 64 elements, the low halves first.
template <class Scalar>
void q4_k(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  const float dmin = detail::load_f16(b + 2);
  const std::byte* scales = b + 4;
  const std::byte* q = b + 16;
  for (std::size_t j = 0; j < 8; ++j) {
    const auto [scale, minimum] = detail::sub_block(scales, j);
    const float step = d * scale;
    const float offset = dmin * minimum;
    const std::byte* bytes = q + 32 * (j / 2);
    for (std::size_t l = 0; l < 32; ++l) {
      const unsigned nibble = j % 2 == 0 ? detail::low(bytes[l]) : detail::high(bytes[l]);
      y[32 * j + l] = step * static_cast<float>(nibble) - offset;
    }
  }
}

/// As q4_k; bit j of byte l of the 32 bytes before the nibbles is the fifth bit of element l of sub-block j.
template <class Scalar>
void q5_k(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  const float dmin = detail::load_f16(b + 2);
  const std::byte* scales = b + 4;
  const std::byte* fifth = b + 16;
  const std::byte* q = b + 48;
  for (std::size_t j = 0; j < 8; ++j) {
    const auto [scale, minimum] = detail::sub_block(scales, j);
    const float step = d * scale;
    const float offset = dmin * minimum;
    const std::byte* bytes = q + 32 * (j / 2);
    for (std::size_t l = 0; l < 32; ++l) {
      const unsigned nibble = j % 2 == 0 ? detail::low(bytes[l]) : detail::high(bytes[l]);
      const unsigned bit = (std::to_integer<unsigned>(fifth[l]) >> j) & 1u;
      y[32 * j + l] = step * static_cast<float>(nibble | (bit << 4)) - offset;
    }
  }
}

/// d·scale·(q − 32), 16 sub-blocks of 16. Each half of 128 elements has 64 bytes of low nibbles and 32 bytes of upper
/// bit pairs: elements l, l+32, l+64, l+96 take bits 0-1, 2-3, 4-5, 6-7 of byte l.
template <class Scalar>
void q6_k(const std::byte* b, Scalar* y) {
  const std::byte* scales = b + 192;
  const float d = detail::load_f16(b + 208);
  for (std::size_t half = 0; half < 2; ++half) {
    const std::byte* nibbles = b + 64 * half;
    const std::byte* pairs = b + 128 + 32 * half;
    for (std::size_t part = 0; part < 4; ++part) {
      for (std::size_t l = 0; l < 32; ++l) {
        const std::byte byte = nibbles[l + 32 * (part % 2)];
        const unsigned lower = part < 2 ? detail::low(byte) : detail::high(byte);
        const unsigned upper = (std::to_integer<unsigned>(pairs[l]) >> (2 * part)) & 3u;
        const std::size_t element = 128 * half + 32 * part + l;
        const float step = d * static_cast<float>(detail::load<std::int8_t>(scales + element / 16));
        y[element] = step * static_cast<float>(static_cast<int>(lower | (upper << 4)) - 32);
      }
    }
  }
}

/// d·scale·q − dmin·minimum, 16 sub-blocks of 16 with four bits of each. Each half of 128 elements has 32 bytes: elements
/// l, l+32, l+64, l+96 take bits 0-1, 2-3, 4-5, 6-7 of byte l.
template <class Scalar>
void q2_k(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b + 80);
  const float dmin = detail::load_f16(b + 82);
  for (std::size_t element = 0; element < 256; ++element) {
    const std::byte both = b[element / 16];
    const float step = d * static_cast<float>(detail::low(both));
    const float offset = dmin * static_cast<float>(detail::high(both));
    const std::byte pairs = b[16 + 32 * (element / 128) + element % 32];
    const unsigned q = (std::to_integer<unsigned>(pairs) >> (2 * (element / 32 % 4))) & 3u;
    y[element] = step * static_cast<float>(q) - offset;
  }
}

/// d·scale·(q − 4), pairs of bits as in q2_k; bit j of byte l of the first 32 bytes is the third bit of element l of the
/// j-th 32.
template <class Scalar>
void q3_k(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b + 108);
  for (std::size_t element = 0; element < 256; ++element) {
    const float step = d * static_cast<float>(detail::q3_k_scale(b + 96, element / 16));
    const std::byte pairs = b[32 + 32 * (element / 128) + element % 32];
    const unsigned pair = (std::to_integer<unsigned>(pairs) >> (2 * (element / 32 % 4))) & 3u;
    const unsigned third = (std::to_integer<unsigned>(b[element % 32]) >> (element / 32)) & 1u;
    y[element] = step * static_cast<float>(static_cast<int>(pair | (third << 2)) - 4);
  }
}

/// d·level[q]; nibbles as in q4_0.
template <class Scalar>
void iq4_nl(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  for (std::size_t j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(iq4_levels[detail::low(b[2 + j])]);
    y[j + 16] = d * static_cast<float>(iq4_levels[detail::high(b[2 + j])]);
  }
}

/// d·scale·level[q]; each 16 bytes of nibbles hold 32 elements as in q4_0.
template <class Scalar>
void iq4_xs(const std::byte* b, Scalar* y) {
  const float d = detail::load_f16(b);
  const auto upper = detail::load<std::uint16_t>(b + 2);
  for (std::size_t sub = 0; sub < 8; ++sub) {
    const float step = d * static_cast<float>(detail::iq4_xs_scale(upper, b + 4, sub));
    const std::byte* q = b + 8 + 16 * sub;
    for (std::size_t j = 0; j < 16; ++j) {
      y[32 * sub + j] = step * static_cast<float>(iq4_levels[detail::low(q[j])]);
      y[32 * sub + j + 16] = step * static_cast<float>(iq4_levels[detail::high(q[j])]);
    }
  }
}

/// 2^(e − 128)·level[q], levels doubled; nibbles as in q4_0. Source: also OCP Microscaling Formats, version 1.0.
template <class Scalar>
void mxfp4(const std::byte* b, Scalar* y) {
  const float d = detail::half_power_of_two(b[0]);
  for (std::size_t j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(mxfp4_levels[detail::low(b[1 + j])]);
    y[j + 16] = d * static_cast<float>(mxfp4_levels[detail::high(b[1 + j])]);
  }
}

}  // namespace block

/// Writes a row of stored numbers as floats. Exact for plain floats (float64 rounds to float32 when Scalar is float);
/// blocks are computed in float32, as their definition says, for every Scalar.
///
/// row       row_bytes(type, elements) bytes, at any alignment
/// elements  a whole number of blocks; whoever made the view has checked it
/// out       [elements]
///
/// `i16` has no meaning outside its backend: nothing is written.
template <class Scalar>
void dequantise(storage type, const std::byte* row, std::size_t elements, Scalar* out) {
  const auto plain = [&]<class Number>(Number, auto&& value_of) {
    for (std::size_t i = 0; i < elements; ++i) {
      out[i] = static_cast<Scalar>(value_of(detail::load<Number>(row + i * sizeof(Number))));
    }
  };
  const auto blocks = [&](auto&& one_block) {
    const storage_facts facts = facts_of(type);
    for (std::size_t i = 0; i < elements / facts.block_elements; ++i) {
      one_block(row + i * facts.block_bytes, out + i * facts.block_elements);
    }
  };
  switch (type) {
    case storage::f64: return plain(double{}, [](double v) { return v; });
    case storage::f32: return plain(float{}, [](float v) { return v; });
    case storage::f16: return plain(std::uint16_t{}, [](std::uint16_t v) { return float_from_f16(v); });
    case storage::bf16: return plain(std::uint16_t{}, [](std::uint16_t v) { return float_from_bf16(v); });
    case storage::q4_0: return blocks(block::q4_0<Scalar>);
    case storage::q4_1: return blocks(block::q4_1<Scalar>);
    case storage::q5_0: return blocks(block::q5_0<Scalar>);
    case storage::q5_1: return blocks(block::q5_1<Scalar>);
    case storage::q8_0: return blocks(block::q8_0<Scalar>);
    case storage::q4_k: return blocks(block::q4_k<Scalar>);
    case storage::q5_k: return blocks(block::q5_k<Scalar>);
    case storage::q6_k: return blocks(block::q6_k<Scalar>);
    case storage::q2_k: return blocks(block::q2_k<Scalar>);
    case storage::q3_k: return blocks(block::q3_k<Scalar>);
    case storage::iq4_nl: return blocks(block::iq4_nl<Scalar>);
    case storage::iq4_xs: return blocks(block::iq4_xs<Scalar>);
    case storage::mxfp4: return blocks(block::mxfp4<Scalar>);
    case storage::i16: return;  // a row's step lies elsewhere: see cache_view
  }
}

}  // namespace g4
