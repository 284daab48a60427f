// Reading weights in panels: levels as 16-bit vectors, scales as floats. Layout: include/g4/backend/cpu/panels.h.
#if defined(G4_KERNELS_CPU_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_PANELS_INL_H_
#undef G4_KERNELS_CPU_PANELS_INL_H_
#else
#define G4_KERNELS_CPU_PANELS_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "g4/backend/cpu/panels.h"
#include "kernels/cpu/avx_vnni.h"
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A panel's sixteen rows are `parts` vectors: one with AVX-512, two with AVX2, four with SSE and NEON.
using level_lanes = hn::CappedTag<int16_t, 32>;  // two columns of every row
using levels16 = hn::Vec<level_lanes>;
using sums32 = hn::Vec<int_lanes>;
inline constexpr size_t parts = cpu::panel_rows / lanes;

// AVX2 multiplies and adds in two instructions. They are written as one: left to g++ 12, many products of an unrolled loop are
// taken first, wait in memory for want of registers, and are added one after the other at its end (half the speed).
#if HWY_TARGET == HWY_AVX2 && (HWY_COMPILER_GCC || HWY_COMPILER_CLANG)
#define G4_DOTS_IN_ONE
#else
#undef G4_DOTS_IN_ONE
#endif

// sum[row] += a[row][0] · b[row][0] + a[row][1] · b[row][1]
HWY_INLINE sums32 dot(sums32 sum, levels16 a, levels16 b) {
#if defined(G4_DOTS_IN_ONE)
  sums32 product;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum.raw), "=&x"(product.raw) : "x"(a.raw), "x"(b.raw));
  return sum;
#elif HWY_ARCH_X86
  const int_lanes di;
  sums32 unused = hn::Zero(di);
  return hn::ReorderWidenMulAccumulate(di, a, b, sum, unused);  // one instruction from Ice Lake and Zen 4 on
#else
  return hn::Add(sum, hn::WidenMulPairwiseAdd(int_lanes(), a, b));
#endif
}

// The same of unsigned and signed bytes, in 16 bits, whose sum the caller knows to fit:
// sum[i] += a[i][0] · b[i][0] + a[i][1] · b[i][1]
HWY_INLINE levels16 dot_bytes(levels16 sum, hn::Vec<hn::Repartition<uint8_t, level_lanes>> a,
                              hn::Vec<hn::Repartition<int8_t, level_lanes>> b) {
#if defined(G4_DOTS_IN_ONE)
  levels16 product;
  __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum.raw), "=&x"(product.raw) : "x"(a.raw), "x"(b.raw));
  return sum;
#else
  return hn::Add(sum, hn::SatWidenMulPairwiseAdd(level_lanes(), a, b));
#endif
}

// How a kernel's dot products are summed: as above, or by AVX-VNNI, which a kernel for AVX2 is told of.
struct dots_of_target {
  static HWY_INLINE sums32 add(sums32 sum, levels16 a, levels16 b) { return dot(sum, a, b); }
  // sum[row] += Σ_i a[row][i] · b[row][i], i < 4, of unsigned and signed bytes
  static HWY_INLINE sums32 add_four(sums32 sum, hn::Vec<hn::Repartition<uint8_t, int_lanes>> a,
                                    hn::Vec<hn::Repartition<int8_t, int_lanes>> b) {
    return hn::SumOfMulQuadAccumulate(int_lanes(), a, b, sum);
  }
};
#if defined(G4_AVX_VNNI) && HWY_TARGET == HWY_AVX2
// Inline assembly: intrinsics would be inlined only into functions compiled for AVX-VNNI, and no kernel is.
struct dots_of_vnni {
  static HWY_INLINE sums32 add(sums32 sum, levels16 a, levels16 b) {
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum.raw) : "x"(a.raw), "x"(b.raw));
    return sum;
  }
  static HWY_INLINE sums32 add_four(sums32 sum, hn::Vec<hn::Repartition<uint8_t, int_lanes>> a,
                                    hn::Vec<hn::Repartition<int8_t, int_lanes>> b) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(a.raw), "x"(b.raw));
    return sum;
  }
};
#else
using dots_of_vnni = dots_of_target;
#endif
inline constexpr bool vnni_is_possible = !std::is_same_v<dots_of_vnni, dots_of_target>;

// The activations of one pair of columns, for every row.
HWY_INLINE levels16 both_columns(const int16_t* pair) {
  int32_t bits;
  std::memcpy(&bits, pair, sizeof bits);
  return hn::BitCast(level_lanes(), hn::Set(int_lanes(), bits));
}

// The facts of a storage that the loops need at compile time.
template <storage S>
struct panel_facts {
  static constexpr size_t columns = facts_of(S).block_elements;
  static constexpr size_t level_bytes = cpu::panel_rows * cpu::panel_level_bytes(S);
  static constexpr size_t scale_bytes = cpu::panel_rows * cpu::panel_scale_bytes(S);
  static constexpr size_t subs = columns / 32;  // sub-blocks of 32 columns
  // Whether sixteen columns have a scale of their own: a small integer, before the block's d.
  static constexpr bool halves = S == storage::q6_k || S == storage::q2_k || S == storage::q3_k;
  // What is added to every weight of a sub-block: nothing, one number, or one for each half.
  static constexpr size_t minima =
      S == storage::q2_k                                                                     ? 2
      : S == storage::q4_1 || S == storage::q5_1 || S == storage::q4_k || S == storage::q5_k ? 1
                                                                                             : 0;
  // Levels are read with this added; none is then negative, but for Q8_0.
  static constexpr int offset = S == storage::q4_0     ? 8
                                : S == storage::q5_0   ? 16
                                : S == storage::q6_k   ? 32
                                : S == storage::q3_k   ? 4
                                : S == storage::iq4_nl ? 127
                                : S == storage::iq4_xs ? 127
                                : S == storage::mxfp4  ? 12
                                                       : 0;
  // The greatest level times scale (where `halves`), either way: what a sum of products has room for, and a tile's bytes.
  static constexpr int largest = S == storage::q6_k ? 4096 : S == storage::q3_k ? 128 : 127;
};

// The levels that four bits choose, with `offset` added.
template <storage S>
HWY_INLINE hn::Vec<hn::Repartition<uint8_t, level_lanes>> chosen(
    hn::Vec<hn::Repartition<uint8_t, level_lanes>> nibbles) {
  const hn::Repartition<uint8_t, level_lanes> du8;
  HWY_ALIGN static constexpr uint8_t iq4[16] = {0,   23,  44,  62,  78,  92,  105, 117,
                                                128, 140, 152, 165, 180, 196, 216, 240};
  HWY_ALIGN static constexpr uint8_t mxfp4[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
  return hn::TableLookupBytes(hn::LoadDup128(du8, S == storage::mxfp4 ? mxfp4 : iq4), nibbles);
}

HWY_INLINE levels16 words(const std::byte* levels, size_t word, size_t part) {
  return hn::LoadU(level_lanes(), reinterpret_cast<const int16_t*>(levels + word * 64 + part * (64 / parts)));
}

// Bits From, From + 1, … of every half-word, moved to bit To and cut out by `mask`.
template <int From, int To, uint16_t mask>
HWY_INLINE levels16 field(levels16 v) {
  const hn::RebindToUnsigned<level_lanes> du;
  const auto bits = hn::BitCast(du, v);
  const auto cut = hn::Set(du, mask);
  if constexpr (From > To) {
    return hn::BitCast(level_lanes(), hn::And(hn::ShiftRight<From - To>(bits), cut));
  } else if constexpr (From < To) {
    return hn::BitCast(level_lanes(), hn::And(hn::ShiftLeft<To - From>(bits), cut));
  } else {
    return hn::BitCast(level_lanes(), hn::And(bits, cut));
  }
}

// Levels (offset still added) of the Word-th four columns of sub-block Sub, a byte each. Q8_0's are signed.
template <storage S, size_t Sub, size_t Word>
HWY_INLINE levels16 level_bytes(const std::byte* block, size_t part) {
  if constexpr (S == storage::q8_0) {
    return words(block, Word, part);
  } else if constexpr (S == storage::q4_0 || S == storage::q4_1) {
    return field<4 * (Word / 4), 0, 0x0f0f>(words(block, Word % 4, part));
  } else if constexpr (S == storage::q5_0 || S == storage::q5_1) {
    const levels16 low = field<4 * (Word / 4), 0, 0x0f0f>(words(block, Word % 4, part));
    return hn::Or(low, field<static_cast<int>(Word), 4, 0x1010>(words(block, 4, part)));
  } else if constexpr (S == storage::q4_k || S == storage::q5_k) {
    const levels16 low = field<4 * (Sub % 2), 0, 0x0f0f>(words(block, 8 * (Sub / 2) + Word, part));
    if constexpr (S == storage::q4_k) return low;
    return hn::Or(low, field<static_cast<int>(Sub), 4, 0x1010>(words(block, 32 + Word, part)));
  } else if constexpr (S == storage::iq4_nl || S == storage::iq4_xs || S == storage::mxfp4) {
    const hn::Repartition<uint8_t, level_lanes> du8;
    const levels16 nibbles = field<4 * (Word / 4), 0, 0x0f0f>(words(block, 4 * Sub + Word % 4, part));
    return hn::BitCast(level_lanes(), chosen<S>(hn::BitCast(du8, nibbles)));
  } else if constexpr (S == storage::q2_k || S == storage::q3_k) {
    const levels16 low = field<2 * static_cast<int>(Sub % 4), 0, 0x0303>(words(block, 8 * (Sub / 4) + Word, part));
    if constexpr (S == storage::q2_k) return low;
    return hn::Or(low, field<static_cast<int>(Sub), 2, 0x0404>(words(block, 16 + Word, part)));
  } else {
    static_assert(S == storage::q6_k);
    constexpr size_t half = Sub / 4;
    constexpr size_t c = Sub % 4;
    const levels16 low =
        field<4 * static_cast<int>(c / 2), 0, 0x0f0f>(words(block, 16 * half + 8 * (c % 2) + Word, part));
    return hn::Or(low, field<2 * static_cast<int>(c), 4, 0x3030>(words(block, 32 + 8 * half + Word, part)));
  }
}

// The same in 16 bits of the Pair-th pair of columns: 4v + h and 4v + h + 2 with v = Pair / 2, h = Pair mod 2. An even h
// sits in the low byte of each half-word, an odd one in the high byte.
template <storage S, size_t Sub, size_t Pair>
HWY_INLINE levels16 level(const std::byte* block, size_t part) {
  const levels16 four = level_bytes<S, Sub, Pair / 2>(block, part);
  if constexpr (S == storage::q8_0) {
    return hn::ShiftRight<8>(Pair % 2 == 0 ? hn::ShiftLeft<8>(four) : four);
  } else {
    return field<8 * (Pair % 2), 0, 0x00ff>(four);
  }
}

// The n-th group of sixteen half floats.
HWY_INLINE floats halves(const std::byte* scales, size_t n, size_t part) {
  return floats_from_f16(scales + 32 * n + 2 * lanes * part);
}

// The n-th group of sixteen unsigned bytes after the half floats of a Q4_K or Q5_K block.
HWY_INLINE floats small_scale(const std::byte* scales, size_t n, size_t part) {
  return to_floats(load_bytes(scales + 64 + 16 * n + lanes * part));
}

// The n-th group of sixteen signed bytes after the one half float of a Q6_K, Q3_K or IQ4_XS block.
HWY_INLINE sums32 signed_scale(const std::byte* scales, size_t n, size_t part) {
  const auto* at = reinterpret_cast<const int8_t*>(scales + 32 + 16 * n + lanes * part);
  return hn::PromoteTo(int_lanes(), hn::LoadU(signed_byte_lanes(), at));
}

// The scale of the n-th sixteen columns, where those have one.
template <storage S>
HWY_INLINE sums32 half_scale(const std::byte* scales, size_t n, size_t part) {
  if constexpr (S == storage::q2_k) {
    const bytes both = load_bytes(scales + 64 + 16 * n + lanes * part);
    return hn::PromoteTo(int_lanes(), hn::And(both, hn::Set(byte_lanes(), uint8_t{15})));
  } else {
    return signed_scale(scales, n, part);
  }
}

// What a level is multiplied with (after its half's scale, where there is one).
template <storage S, size_t Sub>
HWY_INLINE floats scale(const std::byte* scales, size_t part) {
  if constexpr (S == storage::mxfp4) {  // detail::half_power_of_two
    const auto e = hn::PromoteTo(int_lanes(), load_bytes(scales + lanes * part));
    const auto one = hn::Set(int_lanes(), 1);
    const auto normal = hn::ShiftLeft<23>(hn::Sub(e, one));
    return hn::BitCast(float_lanes(), hn::Max(normal, hn::ShiftLeft<21>(hn::Add(e, one))));
  }
  const floats d = halves(scales, 0, part);
  if constexpr (S == storage::iq4_xs) return hn::Mul(d, hn::ConvertTo(float_lanes(), signed_scale(scales, Sub, part)));
  if constexpr (S == storage::q4_k || S == storage::q5_k) return hn::Mul(d, small_scale(scales, Sub, part));
  return d;
}

// What is added to every weight of the sub-block, or of its n-th half; only where there are minima.
template <storage S, size_t Sub>
HWY_INLINE floats minimum(const std::byte* scales, size_t part, [[maybe_unused]] size_t n = 0) {
  const floats m = halves(scales, 1, part);
  if constexpr (S == storage::q2_k) {
    const bytes both = load_bytes(scales + 64 + 16 * (2 * Sub + n) + lanes * part);
    return hn::Neg(hn::Mul(m, to_floats(hn::ShiftRight<4>(both))));
  }
  if constexpr (S == storage::q4_k || S == storage::q5_k) {
    return hn::Neg(hn::Mul(m, small_scale(scales, 8 + Sub, part)));
  }
  return m;
}

// Step times the sum of sixteen levels: what the n-th half's minimum is multiplied with.
HWY_INLINE float half_total(const float* step, const int32_t* sum, size_t block, size_t n) {
  return step[block] * static_cast<float>(sum[2 * block + n]);
}

// A piece of a panel widened to 16 bits: levels with nothing left to add or to scale but `scale` (and `minimum`).
struct wide_panel {
  int16_t* levels;  // [blocks of 32, 16 pairs, 16 rows, 2]
  float* scale;     // [blocks, 16 rows]
  float* minimum;   // [blocks, minima, 16 rows]
};

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANELS_INL_H_
