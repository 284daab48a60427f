// Reading weights in panels: levels as 16-bit vectors, scales as floats. Layout: include/g4/backend/cpu/panels.h.
#if defined(G4_KERNELS_CPU_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_PANELS_INL_H_
#undef G4_KERNELS_CPU_PANELS_INL_H_
#else
#define G4_KERNELS_CPU_PANELS_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <utility>

#include "g4/backend/cpu/panels.h"
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A panel's sixteen rows are `parts` vectors: one with AVX-512, two with AVX2, four with SSE and NEON.
using level_lanes = hn::CappedTag<int16_t, 32>;  // two columns of every row
using levels16 = hn::Vec<level_lanes>;
using sums32 = hn::Vec<int_lanes>;
inline constexpr size_t parts = cpu::panel_rows / lanes;

// sum[row] += a[row][0] · b[row][0] + a[row][1] · b[row][1]
HWY_INLINE sums32 dot(sums32 sum, levels16 a, levels16 b) {
  const int_lanes di;
#if HWY_ARCH_X86
  sums32 unused = hn::Zero(di);
  return hn::ReorderWidenMulAccumulate(di, a, b, sum, unused);  // one instruction from Ice Lake and Zen 4 on
#else
  return hn::Add(sum, hn::WidenMulPairwiseAdd(di, a, b));
#endif
}

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
  static constexpr bool has_minimum =
      S == storage::q4_1 || S == storage::q5_1 || S == storage::q4_k || S == storage::q5_k;
  // Levels are stored with this added.
  static constexpr int offset = S == storage::q4_0 ? 8 : S == storage::q5_0 ? 16 : S == storage::q6_k ? 32 : 0;
};

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

// Levels (offset still added) of the Pair-th pair of columns in sub-block Sub: columns 4v + h and 4v + h + 2 with
// v = Pair / 2, h = Pair mod 2. An even h sits in the low byte of each half-word, an odd one in the high byte.
template <storage S, size_t Sub, size_t Pair>
HWY_INLINE levels16 level(const std::byte* block, size_t part) {
  constexpr size_t v = Pair / 2;
  constexpr int at = 8 * (Pair % 2);
  if constexpr (S == storage::q8_0) {
    const levels16 w = words(block, v, part);
    return at == 0 ? hn::ShiftRight<8>(hn::ShiftLeft<8>(w)) : hn::ShiftRight<8>(w);
  } else if constexpr (S == storage::q4_0 || S == storage::q4_1) {
    return field<at + 4 * (v / 4), 0, 15>(words(block, v % 4, part));
  } else if constexpr (S == storage::q5_0 || S == storage::q5_1) {
    const levels16 low = field<at + 4 * (v / 4), 0, 15>(words(block, v % 4, part));
    return hn::Or(low, field<static_cast<int>(Pair), 4, 16>(words(block, 4, part)));
  } else if constexpr (S == storage::q4_k || S == storage::q5_k) {
    const levels16 low = field<at + 4 * (Sub % 2), 0, 15>(words(block, 8 * (Sub / 2) + v, part));
    if constexpr (S == storage::q4_k) return low;
    return hn::Or(low, field<at + static_cast<int>(Sub), 4, 16>(words(block, 32 + v, part)));
  } else {
    static_assert(S == storage::q6_k);
    constexpr size_t half = Sub / 4;
    constexpr size_t c = Sub % 4;
    const levels16 low =
        field<at + 4 * static_cast<int>(c / 2), 0, 15>(words(block, 16 * half + 8 * (c % 2) + v, part));
    return hn::Or(low, field<at + 2 * static_cast<int>(c), 4, 0x30>(words(block, 32 + 8 * half + v, part)));
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

// The n-th group of sixteen signed bytes after the half floats of a Q6_K block.
HWY_INLINE sums32 signed_scale(const std::byte* scales, size_t n, size_t part) {
  const auto* at = reinterpret_cast<const int8_t*>(scales + 32 + 16 * n + lanes * part);
  return hn::PromoteTo(int_lanes(), hn::LoadU(signed_byte_lanes(), at));
}

// What a level is multiplied with (for Q6_K, after its signed scale).
template <storage S, size_t Sub>
HWY_INLINE floats scale(const std::byte* scales, size_t part) {
  const floats d = halves(scales, 0, part);
  if constexpr (S == storage::q4_k || S == storage::q5_k) return hn::Mul(d, small_scale(scales, Sub, part));
  return d;
}

// What is added to every weight of the sub-block; only where `has_minimum`.
template <storage S, size_t Sub>
HWY_INLINE floats minimum(const std::byte* scales, size_t part) {
  const floats m = halves(scales, 1, part);
  if constexpr (S == storage::q4_k || S == storage::q5_k) {
    return hn::Neg(hn::Mul(m, small_scale(scales, 8 + Sub, part)));
  }
  return m;
}

// A piece of a panel widened to 16 bits: levels with nothing left to add or to scale but `scale` (and `minimum`).
struct wide_panel {
  int16_t* levels;  // [blocks of 32, 16 pairs, 16 rows, 2]
  float* scale;     // [blocks, 16 rows]
  float* minimum;   // [blocks, 16 rows]
};

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANELS_INL_H_
