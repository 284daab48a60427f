// Attention of every row to every other, in stretches of keys. Definition: include/g4/ops/attend_all.h.
//
// Keys and values are packed once for all queries, so that a vector holds numbers of as many keys (or columns of values)
// as it has lanes and no sum crosses lanes: both products then are those of panel_matmul-inl.h. Levels and their steps are
// those of attend_levels-inl.h, but that values have a step for every column of a stretch.
#if defined(G4_KERNELS_CPU_ATTEND_ALL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_ATTEND_ALL_INL_H_
#undef G4_KERNELS_CPU_ATTEND_ALL_INL_H_
#else
#define G4_KERNELS_CPU_ATTEND_ALL_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/backend/cpu/calls.h"
#include "hwy/highway.h"
// after highway.h
#include "kernels/cpu/attend_levels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One head's keys and values of a stretch, where they were packed.
struct packed_stretch {
  int16_t* keys;      // [groups of `lanes` keys, pairs of numbers, lanes, 2]
  int16_t* values;    // [pairs of keys, columns, 2]
  float* key_step;    // [attend_keys]
  float* value_step;  // [columns]
};

HWY_INLINE packed_stretch stretch_in(std::byte* memory, size_t d) {
  constexpr size_t keys = cpu::attend_keys;
  auto* const levels = reinterpret_cast<int16_t*>(memory);
  int16_t* const values = levels + keys * cpu::attend_all_depth(d);
  auto* const steps = reinterpret_cast<float*>(values + keys * cpu::attend_all_width(d));
  return {levels, values, steps, steps + keys};
}

// Stretch `stretch` of key/value head `head`.
inline void pack_all(const cpu::pack_all_call& call) {
  const float_lanes df;
  const int_lanes di;
  const ops::all_attention<float>& a = *call.of;
  const size_t d = a.head_size, pairs = cpu::attend_all_depth(d) / 2, width = cpu::attend_all_width(d);
  const size_t row = a.key_heads * d;
  const size_t first = call.stretch * cpu::attend_keys, n = std::min(cpu::attend_keys, a.rows - first);
  const packed_stretch to = stretch_in(call.packed, d);
  const float* const key = a.key + first * row + call.head * d;
  const float* const value = a.value + first * row + call.head * d;
  if (n < cpu::attend_keys) std::memset(call.packed, 0, cpu::attend_all_stretch_bytes(d));

  HWY_ALIGN int16_t levels[cpu::attend_all_most + 64];
  for (size_t k = 0; k < n; ++k) {
    to.key_step[k] = row_to_levels<true>(key + k * row, d, levels);
    int16_t* const at = to.keys + (k / lanes * pairs * lanes + k % lanes) * 2;
    for (size_t p = 0; p < pairs; ++p) std::memcpy(at + p * lanes * 2, levels + 2 * p, 2 * sizeof(int16_t));
  }

  for (size_t c = 0; c < width; c += lanes) {
    const size_t left = c < d ? d - c : 0;
    auto largest = hn::Zero(di);  // as whole numbers: a NaN's bits are above all others'
    for (size_t k = 0; k < n; ++k) {
      largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadN(df, value + k * row + c, left))));
    }
    const floats step = hn::Mul(hn::BitCast(df, largest), hn::Set(df, 1.0f / value_top));
    const auto some = hn::Gt(step, hn::Set(df, 1e-35f));
    const floats inverse = hn::IfThenElseZero(some, hn::Div(hn::Set(df, 1.0f), step));
    // A column whose step is no number has none for a sum; a tiny one counts as nought.
    hn::StoreU(hn::IfThenElse(hn::Le(step, hn::Set(df, 1e-35f)), hn::Zero(df), step), df, to.value_step + c);
    for (size_t k = 0; k < n; k += 2) {
      const auto level = [&](size_t of) HWY_ATTR {
        return of < n ? hn::NearestInt(hn::Mul(hn::LoadN(df, value + of * row + c, left), inverse)) : hn::Zero(di);
      };
      const auto both = hn::Or(hn::And(level(k), hn::Set(di, 0xffff)), hn::ShiftLeft<16>(level(k + 1)));
      hn::StoreU(both, di, reinterpret_cast<int32_t*>(to.values) + k / 2 * width + c);
    }
  }
}

// Queries that share a tile: of scores, and of sums of values.
inline constexpr size_t all_score_rows = HWY_ARCH_X86 && lanes != 16 ? 4 : 8;
inline constexpr size_t all_mix_rows = 4;
inline constexpr size_t all_mix_vectors = lanes == 16 ? 5 : 2;  // 20 of AVX-512's 32 registers; 8 of AVX2's 16

// scores[r][k] = step[k] · query[r]·key[k] for two groups of keys.
template <size_t Rows>
HWY_INLINE void score_groups(const int16_t* query, size_t query_stride, const int16_t* keys, size_t pairs,
                             const float* step, float* scores) {
  const level_lanes dl;
  const float_lanes df;
  sums32 acc[Rows][2];
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) acc[r][0] = acc[r][1] = hn::Zero(int_lanes());
  G4_UNROLL_SOME for (size_t p = 0; p < pairs; ++p) {
    const levels16 first = hn::LoadU(dl, keys + p * 2 * lanes);
    const levels16 second = hn::LoadU(dl, keys + (pairs + p) * 2 * lanes);
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const levels16 q = both_columns(query + r * query_stride + 2 * p);
      acc[r][0] = dot(acc[r][0], first, q);
      acc[r][1] = dot(acc[r][1], second, q);
    }
  }
  G4_UNROLL for (size_t g = 0; g < 2; ++g) {
    const floats s = hn::LoadU(df, step + g * lanes);
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      hn::StoreU(hn::Mul(hn::ConvertTo(df, acc[r][g]), s), df, scores + r * cpu::attend_keys + g * lanes);
    }
  }
}

// 2ˣ for x ≤ 0, to three parts in a million; below −126 it stays at 2⁻¹²⁶.
HWY_INLINE floats two_to_the(floats x) {
  const float_lanes df;
  const floats bounded = hn::Max(x, hn::Set(df, -126.0f));
  const auto whole = hn::NearestInt(bounded);
  const floats part = hn::Sub(bounded, hn::ConvertTo(df, whole));
  floats y = hn::MulAdd(hn::Set(df, 1.3333558e-3f), part, hn::Set(df, 9.6181291e-3f));
  y = hn::MulAdd(y, part, hn::Set(df, 5.5504109e-2f));
  y = hn::MulAdd(y, part, hn::Set(df, 2.4022651e-1f));
  y = hn::MulAdd(y, part, hn::Set(df, 6.9314718e-1f));
  y = hn::MulAdd(y, part, hn::Set(df, 1.0f));
  return hn::BitCast(df, hn::Add(hn::BitCast(int_lanes(), y), hn::ShiftLeft<23>(whole)));
}

// What is known of a query while its keys pass. Sums are relative to the greatest score so far.
struct all_row {
  float factor;   // of scores, in powers of two
  float maximum;
  float sum;
  float sound;    // nought, or no number
  float keep;     // what earlier sums are multiplied with
  float step;     // of the stretch's weights
};

// A query's scores of a stretch become weights.
HWY_INLINE void weigh_all(float* scores, size_t n, bool first, all_row& row, int16_t* weights) {
  const float_lanes df;
  const size_t whole = n / lanes * lanes;
  const auto rest = hn::FirstN(df, n - whole);
  floats top = hn::Set(df, first ? scores[0] : row.maximum);
  for (size_t i = 0; i < whole; i += lanes) top = hn::Max(top, hn::LoadU(df, scores + i));
  if (whole < n) top = hn::Max(top, hn::IfThenElse(rest, hn::LoadU(df, scores + whole), top));
  const float maximum = hn::ReduceMax(df, top);
  row.sound += (maximum - maximum) * 0.0f;
  row.keep = first ? 0.0f : hn::GetLane(two_to_the(hn::Set(df, (row.maximum - maximum) * row.factor)));
  row.maximum = maximum;
  const floats factor = hn::Set(df, row.factor);
  const floats shift = hn::Set(df, maximum * row.factor);
  floats sum = hn::Zero(df), largest = hn::Zero(df);
  for (size_t i = 0; i < whole; i += lanes) {
    const floats e = two_to_the(hn::MulSub(hn::LoadU(df, scores + i), factor, shift));
    sum = hn::Add(sum, e);
    largest = hn::Max(largest, e);
    hn::StoreU(e, df, scores + i);
  }
  if (whole < n) {
    const floats e =
        hn::IfThenElseZero(rest, two_to_the(hn::MulSub(hn::LoadU(df, scores + whole), factor, shift)));
    sum = hn::Add(sum, e);
    largest = hn::Max(largest, e);
    hn::StoreU(e, df, scores + whole);
  }
  const float of_stretch = hn::ReduceSum(df, sum);
  row.step = weights_to_levels(scores, 0, n, of_stretch, hn::ReduceMax(df, largest), weights);
  row.sum = row.sum * row.keep + of_stretch;
}

// total[r][c] = keep[r] · total[r][c] + step[r] · step[c] · Σ_k weight[r][k] · value[k][c], of Vectors vectors of columns.
template <size_t Vectors>
HWY_INLINE void mix_all(const int16_t* weights, const all_row* row, const int16_t* values, size_t width, size_t pairs,
                        const float* step, float* total, size_t stride) {
  const level_lanes dl;
  const float_lanes df;
  constexpr size_t rows = all_mix_rows;
  sums32 acc[rows][Vectors];
  G4_UNROLL for (size_t r = 0; r < rows; ++r) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[r][v] = hn::Zero(int_lanes());
  }
  G4_UNROLL_SOME for (size_t k = 0; k < pairs; ++k) {
    levels16 value[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) value[v] = hn::LoadU(dl, values + (k * width + v * lanes) * 2);
    G4_UNROLL for (size_t r = 0; r < rows; ++r) {
      const levels16 w = both_columns(weights + r * cpu::attend_keys + 2 * k);
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[r][v] = dot(acc[r][v], value[v], w);
    }
  }
  G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
    const floats s = hn::LoadU(df, step + v * lanes);
    G4_UNROLL for (size_t r = 0; r < rows; ++r) {
      float* const at = total + r * stride + v * lanes;
      const floats before = row[r].keep == 0.0f ? hn::Zero(df) : hn::Mul(hn::LoadU(df, at), hn::Set(df, row[r].keep));
      const floats sum = hn::Mul(hn::ConvertTo(df, acc[r][v]), hn::Mul(s, hn::Set(df, row[r].step)));
      hn::StoreU(hn::Add(before, sum), df, at);
    }
  }
}

HWY_INLINE void mix_columns(size_t vectors, const int16_t* weights, const all_row* row, const int16_t* values,
                            size_t width, size_t pairs, const float* step, float* total, size_t stride) {
  switch (vectors) {
    case 1: return mix_all<1>(weights, row, values, width, pairs, step, total, stride);
    case 2: return mix_all<2>(weights, row, values, width, pairs, step, total, stride);
    default: break;
  }
  if constexpr (all_mix_vectors > 2) {
    if (vectors == 3) return mix_all<3>(weights, row, values, width, pairs, step, total, stride);
    if (vectors == 4) return mix_all<4>(weights, row, values, width, pairs, step, total, stride);
    mix_all<5>(weights, row, values, width, pairs, step, total, stride);
  }
}

// Queries [first, first + count) of head `head`, all of one call at most `attend_queries`.
inline void attend_all(const cpu::attend_all_call& call) {
  const float_lanes df;
  constexpr size_t rows = cpu::attend_queries, keys = cpu::attend_keys;
  const ops::all_attention<float>& a = *call.of;
  const size_t d = a.head_size, depth = cpu::attend_all_depth(d), width = cpu::attend_all_width(d);
  const size_t query_stride = cpu::attend_width(d);
  float* const scores = call.scratch;                                        // [rows, keys]
  float* const total = scores + rows * keys;                                 // [rows, width]
  auto* const weights = reinterpret_cast<int16_t*>(total + rows * width);    // [rows, keys]
  int16_t* const query = weights + rows * keys;                              // [rows, query_stride]
  all_row row[rows];
  const float scale = a.scale * 1.44269504f;
  for (size_t r = 0; r < rows; ++r) {
    row[r] = {};
    if (r < call.count) {
      const float* const x = a.query + ((call.first + r) * a.heads + call.head) * d;
      const float step = row_to_levels<true>(x, d, query + r * query_stride);
      row[r].factor = step * scale;
      row[r].sound = step * 0.0f;
    } else {
      std::memset(query + r * query_stride, 0, query_stride * sizeof(int16_t));
    }
  }
  floats unsound = hn::Zero(df);  // stays nought while every key is made of numbers
  const size_t vectors = (width + lanes - 1) / lanes;
  for (size_t begin = 0, s = 0; begin < a.rows; begin += keys, ++s) {
    const size_t n = std::min(keys, a.rows - begin);
    const packed_stretch at = stretch_in(call.packed + s * cpu::attend_all_stretch_bytes(d), d);
    for (size_t i = 0; i < n; i += lanes) {  // those behind the last have nought for a step
      unsound = hn::MulAdd(hn::LoadU(df, at.key_step + i), hn::Zero(df), unsound);
    }
    for (size_t k = 0; k < n; k += 2 * lanes) {
      for (size_t r = 0; r < rows; r += all_score_rows) {
        score_groups<all_score_rows>(query + r * query_stride, query_stride, at.keys + k * depth, depth / 2,
                                     at.key_step + k, scores + r * keys + k);
      }
    }
    for (size_t r = 0; r < rows; ++r) weigh_all(scores + r * keys, n, s == 0, row[r], weights + r * keys);
    const size_t pairs = (n + 1) / 2;
    for (size_t r = 0; r < rows; r += all_mix_rows) {
      for (size_t v = 0; v < vectors;) {
        const size_t some = vectors <= all_mix_vectors ? vectors : std::min(vectors - v, all_mix_vectors & ~size_t{1});
        mix_columns(some, weights + r * keys, row + r, at.values + v * lanes * 2, width, pairs,
                    at.value_step + v * lanes, total + r * width + v * lanes, width);
        v += some;
      }
    }
  }
  const float sound = hn::ReduceSum(df, unsound);
  for (size_t r = 0; r < call.count; ++r) {
    float* const out = a.out + ((call.first + r) * a.heads + call.head) * d;
    const floats inverse = hn::Set(df, 1.0f / row[r].sum + (sound + row[r].sound));
    for (size_t i = 0; i < d; i += lanes) {
      hn::StoreN(hn::Mul(hn::LoadU(df, total + r * width + i), inverse), df, out + i, d - i);
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_ATTEND_ALL_INL_H_
