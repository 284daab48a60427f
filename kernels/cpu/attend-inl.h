// Attention as one streaming pass over the cache. Definition: include/g4/ops/attend.h.
#if defined(G4_KERNELS_CPU_ATTEND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_ATTEND_INL_H_
#undef G4_KERNELS_CPU_ATTEND_INL_H_
#else
#define G4_KERNELS_CPU_ATTEND_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "g4/backend/calls.h"
#include "hwy/highway.h"
// after highway.h
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums of the lanes of four vectors: y[0..4).
HWY_INLINE void write_four_sums(floats a, floats b, floats c, floats d, float* y) {
  const float_lanes df;
  const hn::Repartition<uint64_t, float_lanes> du64;
  const auto ab = hn::Add(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b));
  const auto cd = hn::Add(hn::InterleaveLower(df, c, d), hn::InterleaveUpper(df, c, d));
  const auto low = hn::BitCast(df, hn::InterleaveLower(du64, hn::BitCast(du64, ab), hn::BitCast(du64, cd)));
  const auto high = hn::BitCast(df, hn::InterleaveUpper(du64, hn::BitCast(du64, ab), hn::BitCast(du64, cd)));
  const auto blocks = hn::Add(low, high);  // every 128-bit block: partial sums of a, b, c, d
  if constexpr (lanes == 16) {
    const hn::Half<float_lanes> half;
    const hn::Half<decltype(half)> quarter;
    const auto two = hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks));
    hn::StoreU(hn::Add(hn::LowerHalf(quarter, two), hn::UpperHalf(quarter, two)), quarter, y);
  } else if constexpr (lanes == 8) {
    const hn::Half<float_lanes> half;
    hn::StoreU(hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)), half, y);
  } else {
    hn::StoreU(blocks, df, y);
  }
}

// scores[r][k] = query[r] · key[k] for four keys; rows of scores are `stride` apart.
template <size_t Rows>
HWY_INLINE void score_tile(const float* const* query, const float* const (&key)[4], size_t d, float* scores,
                           size_t stride) {
  const float_lanes df;
  floats acc[Rows][4];
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t k = 0; k < 4; ++k) acc[r][k] = hn::Zero(df);
  }
  size_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    floats keys[4];
    G4_UNROLL for (size_t k = 0; k < 4; ++k) keys[k] = hn::LoadU(df, key[k] + i);
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const floats q = hn::LoadU(df, query[r] + i);
      G4_UNROLL for (size_t k = 0; k < 4; ++k) acc[r][k] = hn::MulAdd(q, keys[k], acc[r][k]);
    }
  }
  if (i != d) {
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const floats q = hn::LoadN(df, query[r] + i, d - i);
      G4_UNROLL for (size_t k = 0; k < 4; ++k) acc[r][k] = hn::MulAdd(q, hn::LoadN(df, key[k] + i, d - i), acc[r][k]);
    }
  }
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) write_four_sums(acc[r][0], acc[r][1], acc[r][2], acc[r][3], scores + r * stride);
}

// Columns [column, column + Vectors·lanes) of sums[r] = sums[r] · factor[r] + Σ_k weight[r][k] · value[k].
template <size_t Rows, size_t Vectors>
HWY_INLINE void mix_tile(const float* weight, size_t stride, const float* value, size_t value_stride, size_t keys,
                         const float* factor, float* sums, size_t sums_stride, size_t column, size_t left) {
  const float_lanes df;
  floats acc[Rows][Vectors];
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      acc[r][v] = hn::Mul(hn::Set(df, factor[r]), hn::LoadU(df, sums + r * sums_stride + column + v * lanes));
    }
  }
  for (size_t k = 0; k < keys; ++k) {
    floats row[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      const float* at = value + k * value_stride + column + v * lanes;
      row[v] = left >= Vectors * lanes ? hn::LoadU(df, at) : hn::LoadN(df, at, left);
    }
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const floats w = hn::Set(df, weight[r * stride + k]);
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[r][v] = hn::MulAdd(w, row[v], acc[r][v]);
    }
  }
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) hn::StoreU(acc[r][v], df, sums + r * sums_stride + column + v * lanes);
  }
}

template <size_t Rows>
HWY_INLINE void mix(const float* weight, size_t stride, const float* value, size_t d, size_t keys, const float* factor,
                    float* sums, size_t sums_stride) {
  constexpr size_t wide = lanes == 16 ? 4 : 2;  // 4 × 4 sums fill half of AVX-512's registers; 4 × 2 of AVX2's
  size_t i = 0;
  for (; i + wide * lanes <= d; i += wide * lanes) {
    mix_tile<Rows, wide>(weight, stride, value, d, keys, factor, sums, sums_stride, i, d - i);
  }
  for (; i < d; i += lanes) mix_tile<Rows, 1>(weight, stride, value, d, keys, factor, sums, sums_stride, i, d - i);
}

// A query's running maximum, its sum of exponentials, and what it may see.
struct attend_row {
  float maximum;
  float sum;
  int64_t first;
  int64_t last;
};

// Scores of keys [at, at + n) become weights exp(score − maximum); returns by how much older sums must shrink.
HWY_INLINE float weigh(float* scores, int64_t at, size_t n, float scale, float cap, attend_row& row) {
  const float_lanes df;
  const floats nothing = hn::Set(df, -HUGE_VALF);
  const hn::Rebind<int32_t, float_lanes> di;
  // Positions relative to the block fit 32 bits.
  const int64_t count = static_cast<int64_t>(n);
  const auto from = hn::Set(di, static_cast<int32_t>(std::clamp<int64_t>(row.first - at, 0, count)));
  const auto to = hn::Set(di, static_cast<int32_t>(std::clamp<int64_t>(row.last - at, 0, count)));
  floats top = nothing;
  for (size_t i = 0; i < n; i += lanes) {
    floats s = hn::Mul(hn::LoadU(df, scores + i), hn::Set(df, scale));
    if (cap != 0.0f) s = hn::Mul(hn::Set(df, cap), hn::Tanh(df, hn::Div(s, hn::Set(df, cap))));
    const auto k = hn::Iota(di, static_cast<int32_t>(i));
    const auto seen = hn::And(hn::Ge(k, from), hn::Lt(k, to));
    s = hn::IfThenElse(hn::RebindMask(df, seen), s, nothing);
    top = hn::Max(top, s);
    hn::StoreU(s, df, scores + i);
  }
  const float maximum = std::max(row.maximum, hn::ReduceMax(df, top));
  const floats m = hn::Set(df, maximum);
  floats sum = hn::Zero(df);
  for (size_t i = 0; i < n; i += lanes) {
    const floats e = hn::Exp(df, hn::Sub(hn::LoadU(df, scores + i), m));
    sum = hn::Add(sum, e);
    hn::StoreU(e, df, scores + i);
  }
  const float shrink = hn::GetLane(hn::Exp(df, hn::Set(df, row.maximum - maximum)));
  row.maximum = maximum;
  row.sum = row.sum * shrink + hn::ReduceSum(df, sum);
  return shrink;
}

// Keys or values [n, d] of one head from slot s on, as floats; in place where the cache holds floats.
HWY_INLINE const float* cached(const cache_view& cache, const std::byte* base, size_t head, size_t s, size_t n,
                               float* unpacked) {
  const std::byte* from = base + cache.offset(head, slot{s});
  if (cache.type == storage::f32) return reinterpret_cast<const float*>(from);
  unpack(cache.type, from, n * cache.head_size, unpacked);
  return unpacked;
}

inline void attend(const cpu::attend_call& task) {
  const float_lanes df;
  const cache_view& cache = *task.cache;
  const attention_call<float>& call = *task.call;
  const size_t d = cache.head_size;
  const size_t rows = task.count * task.group;
  constexpr size_t stride = cpu::attend_keys + 16;
  const size_t sums_stride = (d + lanes - 1) / lanes * lanes;

  float* scores = task.scratch;                                 // [rows, stride]
  float* sums = scores + cpu::attend_queries * stride;          // [rows, sums_stride]
  float* unpacked = sums + cpu::attend_queries * sums_stride;   // [attend_keys, d]
  const float* query[cpu::attend_queries];
  float* out[cpu::attend_queries];
  attend_row row[cpu::attend_queries];
  float shrink[cpu::attend_queries];

  int64_t first = INT64_MAX;
  int64_t last = 0;
  for (size_t t = 0, r = 0; t < task.count; ++t) {
    const key_range range = call.keys[task.token + t];
    for (size_t g = 0; g < task.group; ++g, ++r) {
      const size_t offset = ((task.token + t) * call.heads + task.head + g) * d;
      query[r] = call.query + offset;
      out[r] = call.out + offset;
      row[r] = {-1e30f, 0.0f, index_of(range.first), index_of(range.last)};  // finite, so that no ∞ − ∞ arises
    }
    if (index_of(range.first) < index_of(range.last)) {
      first = std::min(first, index_of(range.first));
      last = std::max(last, index_of(range.last));
    }
  }
  for (size_t i = 0; i < rows * sums_stride; i += lanes) hn::StoreU(hn::Zero(df), df, sums + i);

  // Blocks begin at multiples of attend_keys and at the ring's seam, and a score's lane follows from its place in the
  // block, so that a query's sums do not depend on which other queries share its pass.
  for (int64_t at = first; at < last;) {
    const size_t s = index_of(cache.at(position{at}));
    const size_t place = static_cast<size_t>(at) % cpu::attend_keys;
    const size_t n = std::min({cpu::attend_keys - place, cache.slots - s, static_cast<size_t>(last - at)});
    const size_t lead = std::min(place, s);  // keys of the block that nobody here sees
    float* block = scores + lead;

    const float* key = cached(cache, cache.keys, task.cache_head, s, n, unpacked);
    for (size_t k = 0; k < n; k += 4) {
      // The last tile repeats the last key rather than reading past it; `weigh` hides the repeats.
      const float* const keys[4] = {key + k * d, key + std::min(k + 1, n - 1) * d, key + std::min(k + 2, n - 1) * d,
                                    key + std::min(k + 3, n - 1) * d};
      size_t r = 0;
      for (; r + 4 <= rows; r += 4) score_tile<4>(query + r, keys, d, block + r * stride + k, stride);
      for (; r < rows; ++r) score_tile<1>(query + r, keys, d, block + r * stride + k, stride);
    }

    for (size_t r = 0; r < rows; ++r) {
      shrink[r] = weigh(scores + r * stride, at - static_cast<int64_t>(lead), lead + n, call.scale, call.soft_cap, row[r]);
    }

    const float* value = cached(cache, cache.values, task.cache_head, s, n, unpacked);
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      mix<4>(block + r * stride, stride, value, d, n, shrink + r, sums + r * sums_stride, sums_stride);
    }
    for (; r < rows; ++r) {
      mix<1>(block + r * stride, stride, value, d, n, shrink + r, sums + r * sums_stride, sums_stride);
    }
    at += static_cast<int64_t>(n);
  }

  for (size_t r = 0; r < rows; ++r) {
    const floats inverse = hn::Set(df, row[r].sum > 0.0f ? 1.0f / row[r].sum : 0.0f);
    for (size_t i = 0; i < d; i += lanes) {
      hn::StoreN(hn::Mul(hn::LoadU(df, sums + r * sums_stride + i), inverse), df, out[r] + i, d - i);
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_ATTEND_INL_H_
