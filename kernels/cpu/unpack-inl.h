// Weights as stored → float32, for every storage of include/g4/tensor/storage.h. Definition: include/g4/ops/dequantise.h.
#if defined(G4_KERNELS_CPU_UNPACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_UNPACK_INL_H_
#undef G4_KERNELS_CPU_UNPACK_INL_H_
#else
#define G4_KERNELS_CPU_UNPACK_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/core/small_float.h"
#include "g4/ops/dequantise.h"
#include "g4/tensor/storage.h"
#include "hwy/highway.h"

// Before a loop over a tile's vectors: they live in registers only once the loop is unrolled, which -O2 does not do.
#undef G4_UNROLL
#undef G4_UNROLL_SOME
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
#define G4_UNROLL _Pragma("GCC unroll 16")
#define G4_UNROLL_SOME _Pragma("GCC unroll 4")
#else
#define G4_UNROLL
#define G4_UNROLL_SOME
#endif

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that a vector never straddles a sub-block of 16 elements.
using float_lanes = hn::CappedTag<float, 16>;
using int_lanes = hn::Rebind<int32_t, float_lanes>;
using byte_lanes = hn::Rebind<uint8_t, float_lanes>;
using signed_byte_lanes = hn::Rebind<int8_t, float_lanes>;
using half_lanes = hn::Rebind<uint16_t, float_lanes>;
using floats = hn::Vec<float_lanes>;
using bytes = hn::Vec<byte_lanes>;
inline constexpr size_t lanes = hn::MaxLanes(float_lanes());

// Weights are asked for this many bytes before they are used, into the second-level cache. Zen 4, Q8_0, one thread: 12
// GB/s without, 16 at 2 KB, 18 at 8 KB, 24 at 32 KB, 23 beyond; into the first-level cache it gains nothing.
inline constexpr size_t early = 32768;

#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
HWY_INLINE void fetch_early(const std::byte* p) { __builtin_prefetch(p, 0, 2); }
// Into the first-level cache: for what is used within microseconds.
HWY_INLINE void fetch_soon(const std::byte* p) { __builtin_prefetch(p, 0, 3); }
#else
HWY_INLINE void fetch_early(const std::byte*) {}
HWY_INLINE void fetch_soon(const std::byte*) {}
#endif

HWY_INLINE float read_half(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);  // rows of a mapped file are aligned to two bytes at best
  return float_from_f16(bits);
}

HWY_INLINE const uint8_t* as_bytes(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }

HWY_INLINE bytes load_bytes(const std::byte* p) { return hn::LoadU(byte_lanes(), as_bytes(p)); }

HWY_INLINE floats to_floats(bytes v) { return hn::ConvertTo(float_lanes(), hn::PromoteTo(int_lanes(), v)); }

// bfloat16 bits sit in the upper half of a float32.
HWY_INLINE floats floats_from_bf16(const std::byte* p) {
  const hn::Rebind<uint32_t, float_lanes> du32;
  const auto bits = hn::LoadU(half_lanes(), reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(float_lanes(), hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
}

HWY_INLINE floats floats_from_f16(const std::byte* p) {
  const hn::Rebind<hwy::float16_t, float_lanes> df16;
  return hn::PromoteTo(float_lanes(), hn::BitCast(df16, hn::LoadU(half_lanes(), reinterpret_cast<const uint16_t*>(p))));
}

// Plain floats of any width; n need not be a multiple of anything.
inline void unpack_f32(const std::byte* p, size_t n, float* y) { std::memcpy(y, p, n * sizeof(float)); }

inline void unpack_f16(const std::byte* p, size_t n, float* y) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(floats_from_f16(p + 2 * i), float_lanes(), y + i);
  for (; i < n; ++i) y[i] = read_half(p + 2 * i);
}

inline void unpack_bf16(const std::byte* p, size_t n, float* y) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(floats_from_bf16(p + 2 * i), float_lanes(), y + i);
  for (; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, p + 2 * i, sizeof bits);
    y[i] = float_from_bf16(bits);
  }
}

// Q8_0: d, then 32 signed bytes.
inline void unpack_q8_0(const std::byte* p, size_t n, float* y) {
  const float_lanes df;
  for (; n != 0; n -= 32, p += 34, y += 32) {
    const floats d = hn::Set(df, read_half(p));
    for (size_t i = 0; i < 32; i += lanes) {
      const auto q = hn::LoadU(signed_byte_lanes(), reinterpret_cast<const int8_t*>(p + 2 + i));
      hn::StoreU(hn::Mul(hn::ConvertTo(df, hn::PromoteTo(int_lanes(), q)), d), df, y + i);
    }
  }
}

// Thirty-two 4-bit levels in 16 bytes, low halves first, with an optional fifth bit each: y = q·d + m.
template <bool Fifth>
HWY_INLINE void unpack_nibbles(const std::byte* low, uint32_t fifth, floats d, floats m, float* y) {
  const float_lanes df;
  const hn::Rebind<uint32_t, float_lanes> du32;
  for (size_t i = 0; i < 16; i += lanes) {
    const bytes pair = load_bytes(low + i);
    auto a = hn::PromoteTo(du32, hn::And(pair, hn::Set(byte_lanes(), uint8_t{15})));
    auto b = hn::PromoteTo(du32, hn::ShiftRight<4>(pair));
    if constexpr (Fifth) {
      const auto one = hn::Set(du32, 1u);
      const auto shift = hn::Iota(du32, static_cast<uint32_t>(i));
      a = hn::Or(a, hn::ShiftLeft<4>(hn::And(hn::Shr(hn::Set(du32, fifth), shift), one)));
      b = hn::Or(b, hn::ShiftLeft<4>(hn::And(hn::Shr(hn::Set(du32, fifth >> 16), shift), one)));
    }
    hn::StoreU(hn::MulAdd(hn::ConvertTo(df, hn::BitCast(int_lanes(), a)), d, m), df, y + i);
    hn::StoreU(hn::MulAdd(hn::ConvertTo(df, hn::BitCast(int_lanes(), b)), d, m), df, y + i + 16);
  }
}

// Q4_0, Q4_1, Q5_0, Q5_1: d, with m where `Minimum`, the fifth bits where `Fifth`, 16 bytes of nibbles.
template <bool Minimum, bool Fifth>
inline void unpack_small(const std::byte* p, size_t n, float* y) {
  const float_lanes df;
  for (; n != 0; n -= 32, y += 32) {
    const float d = read_half(p);
    p += 2;
    float m = -(Fifth ? 16.0f : 8.0f) * d;  // exact: a power of two
    if constexpr (Minimum) {
      m = read_half(p);
      p += 2;
    }
    uint32_t fifth = 0;
    if constexpr (Fifth) {
      std::memcpy(&fifth, p, sizeof fifth);
      p += 4;
    }
    unpack_nibbles<Fifth>(p, fifth, hn::Set(df, d), hn::Set(df, m), y);
    p += 16;
  }
}

// The 6-bit scales and minima of Q4_K and Q5_K: eight of each in 12 bytes.
struct k_scales {
  uint8_t scale[8];
  uint8_t minimum[8];
};

HWY_INLINE k_scales read_k_scales(const std::byte* bytes12) {
  const uint8_t* s = as_bytes(bytes12);
  k_scales out;
  for (size_t i = 0; i < 4; ++i) {
    out.scale[i] = s[i] & 63;
    out.minimum[i] = s[i + 4] & 63;
    out.scale[i + 4] = static_cast<uint8_t>((s[i + 8] & 15) | ((s[i] >> 6) << 4));
    out.minimum[i + 4] = static_cast<uint8_t>((s[i + 8] >> 4) | ((s[i + 4] >> 6) << 4));
  }
  return out;
}

// Q4_K and Q5_K: d, dmin, 12 bytes of scales, the fifth bits where `Fifth`, 128 bytes of nibbles. Bytes 32j … 32j+31
// hold sub-block 2j in their low halves and 2j + 1 in their high halves.
template <bool Fifth>
inline void unpack_k(const std::byte* p, size_t n, float* y) {
  const float_lanes df;
  for (; n != 0; n -= 256, y += 256) {
    const float d = read_half(p);
    const float dmin = read_half(p + 2);
    const k_scales k = read_k_scales(p + 4);
    const std::byte* fifth = p + 16;
    const std::byte* q = p + (Fifth ? 48 : 16);
    for (size_t j = 0; j < 4; ++j, q += 32) {
      const floats da = hn::Set(df, d * k.scale[2 * j]);
      const floats ma = hn::Set(df, -dmin * k.minimum[2 * j]);
      const floats db = hn::Set(df, d * k.scale[2 * j + 1]);
      const floats mb = hn::Set(df, -dmin * k.minimum[2 * j + 1]);
      for (size_t i = 0; i < 32; i += lanes) {
        const bytes pair = load_bytes(q + i);
        bytes a = hn::And(pair, hn::Set(byte_lanes(), uint8_t{15}));
        bytes b = hn::ShiftRight<4>(pair);
        if constexpr (Fifth) {
          const bytes high = load_bytes(fifth + i);
          const bytes zero = hn::Zero(byte_lanes());
          const bytes sixteen = hn::Set(byte_lanes(), uint8_t{16});
          const bytes bit_a = hn::Set(byte_lanes(), static_cast<uint8_t>(1u << (2 * j)));
          const bytes bit_b = hn::Set(byte_lanes(), static_cast<uint8_t>(2u << (2 * j)));
          a = hn::Or(a, hn::IfThenElse(hn::TestBit(high, bit_a), sixteen, zero));
          b = hn::Or(b, hn::IfThenElse(hn::TestBit(high, bit_b), sixteen, zero));
        }
        hn::StoreU(hn::MulAdd(to_floats(a), da, ma), df, y + 64 * j + i);
        hn::StoreU(hn::MulAdd(to_floats(b), db, mb), df, y + 64 * j + 32 + i);
      }
    }
    p += Fifth ? 176 : 144;
  }
}

// Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, d. Each half of 128 elements takes 64
// bytes of the first and 32 of the second.
inline void unpack_q6_k(const std::byte* p, size_t n, float* y) {
  const float_lanes df;
  for (; n != 0; n -= 256, p += 210, y += 256) {
    const float d = read_half(p + 208);
    for (size_t half = 0; half < 2; ++half) {
      const std::byte* low = p + 64 * half;
      const std::byte* high = p + 128 + 32 * half;
      const int8_t* scale = reinterpret_cast<const int8_t*>(p + 192 + 8 * half);
      float* out = y + 128 * half;
      for (size_t i = 0; i < 32; i += lanes) {
        const bytes first = load_bytes(low + i);
        const bytes second = load_bytes(low + 32 + i);
        const bytes upper = load_bytes(high + i);
        const bytes nibble = hn::Set(byte_lanes(), uint8_t{15});
        const bytes pair = hn::Set(byte_lanes(), uint8_t{0x30});
        const bytes q[4] = {hn::Or(hn::And(first, nibble), hn::And(hn::ShiftLeft<4>(upper), pair)),
                            hn::Or(hn::And(second, nibble), hn::And(hn::ShiftLeft<2>(upper), pair)),
                            hn::Or(hn::ShiftRight<4>(first), hn::And(upper, pair)),
                            hn::Or(hn::ShiftRight<4>(second), hn::And(hn::ShiftRight<2>(upper), pair))};
        for (size_t k = 0; k < 4; ++k) {
          const float step = d * static_cast<float>(scale[2 * k + i / 16]);
          const floats centred = hn::Sub(to_floats(q[k]), hn::Set(df, 32.0f));
          hn::StoreU(hn::Mul(centred, hn::Set(df, step)), df, out + 32 * k + i);
        }
      }
    }
  }
}

// The pairs of bits of Q2_K and Q3_K: elements 32·j … 32·j + 31 of a half of 128 take bits 2j, 2j + 1 of its 32 bytes.
template <int Shift>
HWY_INLINE bytes pairs_at(bytes v) {
  return hn::And(hn::ShiftRight<Shift>(v), hn::Set(byte_lanes(), uint8_t{3}));
}

// Q2_K: 16 bytes of scales and minima, 64 bytes of pairs, d, dmin.
inline void unpack_q2_k(const std::byte* p, size_t n, float* y) {
  const float_lanes df;
  for (; n != 0; n -= 256, p += 84, y += 256) {
    const float d = read_half(p + 80);
    const float dmin = read_half(p + 82);
    for (size_t half = 0; half < 2; ++half) {
      for (size_t i = 0; i < 32; i += lanes) {
        const bytes four = load_bytes(p + 16 + 32 * half + i);
        const bytes q[4] = {pairs_at<0>(four), pairs_at<2>(four), pairs_at<4>(four), pairs_at<6>(four)};
        for (size_t j = 0; j < 4; ++j) {
          const auto both = as_bytes(p)[8 * half + 2 * j + i / 16];
          const floats step = hn::Set(df, d * static_cast<float>(both & 15));
          const floats offset = hn::Set(df, -dmin * static_cast<float>(both >> 4));
          hn::StoreU(hn::MulAdd(to_floats(q[j]), step, offset), df, y + 128 * half + 32 * j + i);
        }
      }
    }
  }
}

// Q3_K: 32 bytes of third bits, 64 bytes of pairs, 12 bytes of scales, d.
inline void unpack_q3_k(const std::byte* p, size_t n, float* y) {
  const float_lanes df;
  for (; n != 0; n -= 256, p += 110, y += 256) {
    const float d = read_half(p + 108);
    for (size_t half = 0; half < 2; ++half) {
      for (size_t i = 0; i < 32; i += lanes) {
        const bytes four = load_bytes(p + 32 + 32 * half + i);
        const bytes third = load_bytes(p + i);
        const bytes q[4] = {pairs_at<0>(four), pairs_at<2>(four), pairs_at<4>(four), pairs_at<6>(four)};
        for (size_t j = 0; j < 4; ++j) {
          const bytes bit = hn::Set(byte_lanes(), static_cast<uint8_t>(1u << (4 * half + j)));
          const bytes upper = hn::IfThenElseZero(hn::TestBit(third, bit), hn::Set(byte_lanes(), uint8_t{4}));
          const auto scale = static_cast<float>(detail::q3_k_scale(p + 96, 8 * half + 2 * j + i / 16));
          const floats centred = hn::Sub(to_floats(hn::Or(q[j], upper)), hn::Set(df, 4.0f));
          hn::StoreU(hn::Mul(centred, hn::Set(df, d * scale)), df, y + 128 * half + 32 * j + i);
        }
      }
    }
  }
}

// Thirty-two levels that 16 bytes of nibbles choose from a table: y = table[q]·d.
HWY_INLINE void unpack_chosen(const std::byte* low, const int8_t* table, floats d, float* y) {
  const float_lanes df;
  const signed_byte_lanes d8;
  const hn::Full128<int8_t> d16;
  const auto levels = hn::LoadU(d16, table);
  const auto put = [&](auto nibbles, float* to) HWY_ATTR {
    const auto chosen = hn::TableLookupBytes(levels, nibbles);
    HWY_ALIGN int8_t q[16];
    hn::Store(chosen, d16, q);
    for (size_t i = 0; i < 16; i += lanes) {
      const floats v = hn::ConvertTo(df, hn::PromoteTo(int_lanes(), hn::LoadU(d8, q + i)));
      hn::StoreU(hn::Mul(v, d), df, to + i);
    }
  };
  const hn::RebindToUnsigned<decltype(d16)> du16;
  const auto both = hn::LoadU(du16, as_bytes(low));
  put(hn::BitCast(d16, hn::And(both, hn::Set(du16, uint8_t{15}))), y);
  put(hn::BitCast(d16, hn::ShiftRight<4>(both)), y + 16);
}

// IQ4_NL: d, 16 bytes of nibbles.
inline void unpack_iq4_nl(const std::byte* p, size_t n, float* y) {
  for (; n != 0; n -= 32, p += 18, y += 32) unpack_chosen(p + 2, iq4_levels, hn::Set(float_lanes(), read_half(p)), y);
}

// IQ4_XS: d, upper pairs and lower nibbles of eight scales, 128 bytes of nibbles.
inline void unpack_iq4_xs(const std::byte* p, size_t n, float* y) {
  for (; n != 0; n -= 256, p += 136, y += 256) {
    const float d = read_half(p);
    uint16_t upper;
    std::memcpy(&upper, p + 2, sizeof upper);
    for (size_t sub = 0; sub < 8; ++sub) {
      const float step = d * static_cast<float>(detail::iq4_xs_scale(upper, p + 4, sub));
      unpack_chosen(p + 8 + 16 * sub, iq4_levels, hn::Set(float_lanes(), step), y + 32 * sub);
    }
  }
}

// MXFP4: an exponent, 16 bytes of nibbles.
inline void unpack_mxfp4(const std::byte* p, size_t n, float* y) {
  for (; n != 0; n -= 32, p += 17, y += 32) {
    unpack_chosen(p + 1, mxfp4_levels, hn::Set(float_lanes(), detail::half_power_of_two(*p)), y);
  }
}

// n elements from the start of a block; n is a whole number of blocks.
inline void unpack(storage type, const std::byte* p, size_t n, float* y) {
  switch (type) {
    case storage::f32: return unpack_f32(p, n, y);
    case storage::f16: return unpack_f16(p, n, y);
    case storage::bf16: return unpack_bf16(p, n, y);
    case storage::q4_0: return unpack_small<false, false>(p, n, y);
    case storage::q4_1: return unpack_small<true, false>(p, n, y);
    case storage::q5_0: return unpack_small<false, true>(p, n, y);
    case storage::q5_1: return unpack_small<true, true>(p, n, y);
    case storage::q8_0: return unpack_q8_0(p, n, y);
    case storage::q4_k: return unpack_k<false>(p, n, y);
    case storage::q5_k: return unpack_k<true>(p, n, y);
    case storage::q6_k: return unpack_q6_k(p, n, y);
    case storage::q2_k: return unpack_q2_k(p, n, y);
    case storage::q3_k: return unpack_q3_k(p, n, y);
    case storage::iq4_nl: return unpack_iq4_nl(p, n, y);
    case storage::iq4_xs: return unpack_iq4_xs(p, n, y);
    case storage::mxfp4: return unpack_mxfp4(p, n, y);
    case storage::f64:
    case storage::i16: break;
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_UNPACK_INL_H_
