// Attention's products in 16 bits: queries, keys, weights and values as integers with one step per row, sums in int32.
#if defined(G4_KERNELS_CPU_ATTEND_LEVELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_ATTEND_LEVELS_INL_H_
#undef G4_KERNELS_CPU_ATTEND_LEVELS_INL_H_
#else
#define G4_KERNELS_CPU_ATTEND_LEVELS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "g4/backend/cpu/calls.h"
#include "kernels/cpu/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums of the lanes of four vectors: y[0..4).
template <class D, class V, class T = hn::TFromD<D>>
HWY_INLINE void write_four_sums(D dn, V a, V b, V c, V d, T* y) {
  const hn::Repartition<uint64_t, D> du64;
  const auto ab = hn::Add(hn::InterleaveLower(dn, a, b), hn::InterleaveUpper(dn, a, b));
  const auto cd = hn::Add(hn::InterleaveLower(dn, c, d), hn::InterleaveUpper(dn, c, d));
  const auto low = hn::BitCast(dn, hn::InterleaveLower(du64, hn::BitCast(du64, ab), hn::BitCast(du64, cd)));
  const auto high = hn::BitCast(dn, hn::InterleaveUpper(du64, hn::BitCast(du64, ab), hn::BitCast(du64, cd)));
  const auto blocks = hn::Add(low, high);  // every 128-bit block: partial sums of a, b, c, d
  if constexpr (lanes == 16) {
    const hn::Half<D> half;
    const hn::Half<decltype(half)> quarter;
    const auto two = hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks));
    hn::StoreU(hn::Add(hn::LowerHalf(quarter, two), hn::UpperHalf(quarter, two)), quarter, y);
  } else if constexpr (lanes == 8) {
    const hn::Half<D> half;
    hn::StoreU(hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)), half, y);
  } else {
    hn::StoreU(blocks, dn, y);
  }
}

// Steps of a stretch's keys and values, by place in it.
struct levels_stretch {
  float* key_step;
  float* value_step;
};

// Values have levels of ±8191, so that weights whose levels add up to less than 2¹⁸ give sums that fit int32.
inline constexpr float value_top = 8191.0f;
inline constexpr float weight_total = 261'000.0f;

// A row of d numbers becomes levels, padded with noughts to attend_width(d); returns the step.
//
// ForDots: queries and keys. Their length, not their largest number, sets the step: two rows of levels no longer than
// 2^15.5 have a product within int32 (Cauchy-Schwarz), and so has every part of it.
template <bool ForDots>
HWY_INLINE float row_to_levels(const float* x, size_t d, int16_t* out) {
  const float_lanes df;
  const int_lanes di;
  const hn::Rebind<int16_t, float_lanes> di16;
  auto largest = hn::Zero(di);  // as whole numbers: a NaN's bits are above all others'
  floats squares = hn::Zero(df);
  for (size_t i = 0; i < d; i += lanes) {
    const floats v = hn::LoadN(df, x + i, d - i);
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(v)));
    squares = hn::MulAdd(v, v, squares);
  }
  const float most = hn::GetLane(hn::BitCast(df, hn::MaxOfLanes(di, largest)));
  float step = most / value_top;
  if constexpr (ForDots) {
    // Rounding lengthens a row by at most √d / 2.
    const float longest = 46'335.0f - 0.5f * std::sqrt(static_cast<float>(d));
    step = std::max(most / 32767.0f, std::sqrt(hn::ReduceSum(df, squares)) / longest);
  }
  // Below this the inverse would overflow; such a row counts as nought. One that holds no number has none for a step.
  const bool nought = step <= 1e-35f;
  const floats inverse = hn::Set(df, nought ? 0.0f : 1.0f / step);
  for (size_t i = 0; i < cpu::attend_width(d); i += lanes) {
    const floats v = i < d ? hn::LoadN(df, x + i, d - i) : hn::Zero(df);
    const auto level = hn::Min(hn::Max(hn::NearestInt(hn::Mul(v, inverse)), hn::Set(di, -32767)), hn::Set(di, 32767));
    hn::StoreU(hn::DemoteTo(di16, level), di16, out + i);
  }
  return nought ? 0.0f : step;
}

// Weights at places [start, to) become levels; returns their step. Both are multiples of a vector, or end in noughts.
HWY_INLINE float weights_to_levels(const float* weights, size_t start, size_t to, float sum, float most, int16_t* out) {
  const float_lanes df;
  const hn::Rebind<int16_t, float_lanes> di16;
  // Nought where all weights are numbers, and else no number.
  const float sound = sum - sum;
  const float step = std::max(most / 32767.0f, sum / weight_total) + sound;
  const bool nought = step <= 1e-35f;
  const floats inverse = hn::Set(df, nought ? 0.0f : 1.0f / step);
  for (size_t i = start; i < to; i += lanes) {
    hn::StoreU(hn::DemoteTo(di16, hn::NearestInt(hn::Mul(hn::LoadU(df, weights + i), inverse))), di16, out + i);
  }
  return nought ? 0.0f : step;
}

// The rows' steps, by position.
HWY_INLINE void find_steps(const cache_view& cache, const std::byte* base, size_t head, int64_t at, size_t n,
                           float* out) {
  while (n != 0) {
    const slot s = cache.at(position{at});
    const size_t count = std::min(n, cache.slots - index_of(s));
    std::memcpy(out, base + cache.step_offset(head, s), count * sizeof(float));
    out += count;
    at += static_cast<int64_t>(count);
    n -= count;
  }
}

// Queries that share a tile: 4 × 4 sums where there are 32 registers, 2 × 4 where there are 16.
inline constexpr size_t level_rows = HWY_ARCH_X86 && lanes != 16 ? 2 : 4;

// Asks for bytes that are used a good while later. A little with every step: asked for in one go they hold up the loads
// that are wanted now.
HWY_INLINE void fetch(const std::byte* p, size_t lines) {
  G4_UNROLL for (size_t i = 0; i < lines; ++i) fetch_early(p + 64 * i);
}

// products[r][k] = query[r] · key[k] for four keys. Asks for four rows from `ahead` on, unless it is null.
template <size_t Rows>
HWY_INLINE void score_levels(const int16_t* query, size_t width, const std::byte* const* key, int32_t* products,
                             size_t stride, const std::byte* ahead) {
  const level_lanes dl;
  const int_lanes di;
  const int16_t* at[4];
  sums32 acc[Rows][4];
  G4_UNROLL for (size_t k = 0; k < 4; ++k) {
    at[k] = reinterpret_cast<const int16_t*>(key[k]);
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) acc[r][k] = hn::Zero(di);
  }
  for (size_t i = 0; i < width; i += 2 * lanes) {
    levels16 keys[4];
    G4_UNROLL for (size_t k = 0; k < 4; ++k) keys[k] = hn::LoadU(dl, at[k] + i);
    if (ahead != nullptr) fetch(ahead + 8 * i, lanes / 4);
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const levels16 q = hn::LoadU(dl, query + r * width + i);
      G4_UNROLL for (size_t k = 0; k < 4; ++k) acc[r][k] = dot(acc[r][k], q, keys[k]);
    }
  }
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    write_four_sums(di, acc[r][0], acc[r][1], acc[r][2], acc[r][3], products + r * stride);
  }
}

// Columns of values that are mixed at a time: one vector of AVX-512, several shorter ones one after the other.
inline constexpr size_t mixed_columns = 32;

// Two rows of values are interleaved within 128 bits, so that each product takes both: of 2·lanes columns the sums of
// columns 8b … 8b + 3 come first, b counting blocks, then those of 8b + 4 … 8b + 7.
HWY_INLINE size_t place_of_columns(size_t column) {  // a multiple of 4
  const size_t within = column % (2 * lanes);
  return column - within + within / 8 * 4 + within / 4 % 2 * lanes;
}

// Columns [column, column + mixed_columns) of sums[r] = step[r] · Σ_k weight[r][k] · value[k].
template <size_t Rows>
HWY_INLINE void mix_levels(const int16_t* weight, size_t stride, const std::byte* const* value, size_t keys,
                           size_t column, const float* step, float* sums, size_t sums_stride, const std::byte* ahead) {
  const level_lanes dl;
  const int_lanes di;
  const float_lanes df;
  for (size_t c = column; c < column + mixed_columns; c += 2 * lanes) {
    sums32 low[Rows];
    sums32 high[Rows];
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) low[r] = high[r] = hn::Zero(di);
    for (size_t k = 0; k < keys; k += 2) {
      if (ahead != nullptr && c == column) fetch(ahead + 64 * k, 2);
      const levels16 a = hn::LoadU(dl, reinterpret_cast<const int16_t*>(value[k]) + c);
      const levels16 b = hn::LoadU(dl, reinterpret_cast<const int16_t*>(value[k + 1]) + c);
      const levels16 first = hn::InterleaveLower(dl, a, b);
      const levels16 second = hn::InterleaveUpper(dl, a, b);
      G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
        const levels16 w = both_columns(weight + r * stride + k);
        low[r] = dot(low[r], first, w);
        high[r] = dot(high[r], second, w);
      }
    }
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const floats s = hn::Set(df, step[r]);
      float* out = sums + r * sums_stride + c;
      hn::StoreU(hn::Mul(hn::ConvertTo(df, low[r]), s), df, out);
      hn::StoreU(hn::Mul(hn::ConvertTo(df, high[r]), s), df, out + lanes);
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_ATTEND_LEVELS_INL_H_
