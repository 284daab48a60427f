// Attention as one streaming pass over the cache, in stretches of keys. Definition: include/g4/ops/attend.h.
//
// A stretch's scores are made first, then its weights exp(score − maximum), then its sums of values, which are added to
// what earlier stretches gave. A cache of 16-bit levels is multiplied in 16 bits (attend_levels-inl.h), any other in float32.
#if defined(G4_KERNELS_CPU_ATTEND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_ATTEND_INL_H_
#undef G4_KERNELS_CPU_ATTEND_INL_H_
#else
#define G4_KERNELS_CPU_ATTEND_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "g4/backend/cpu/calls.h"
#include "hwy/highway.h"
// after highway.h
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/attend_levels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// ---- Products in float32 ---------------------------------------------------------------------------------------------

// scores[r][k] = query[r] · key[k] for four keys; rows of scores are `stride` apart.
template <size_t Rows>
HWY_INLINE void score_tile(const float* const* query, const float* const* key, size_t d, float* scores, size_t stride) {
  const float_lanes df;
  floats acc[Rows][4];
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) { G4_UNROLL for (size_t k = 0; k < 4; ++k) acc[r][k] = hn::Zero(df); }
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
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    write_four_sums(df, acc[r][0], acc[r][1], acc[r][2], acc[r][3], scores + r * stride);
  }
}

// Columns [column, column + Vectors·lanes) of sums[r] += Σ_k weight[r][k] · value[k].
template <size_t Rows, size_t Vectors>
HWY_INLINE void mix_tile(const float* weight, size_t stride, const float* const* value, size_t keys, float* sums,
                         size_t sums_stride, size_t column, size_t left) {
  const float_lanes df;
  floats acc[Rows][Vectors];
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[r][v] =
        hn::LoadU(df, sums + r * sums_stride + column + v * lanes);
  }
  for (size_t k = 0; k < keys; ++k) {
    floats row[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      const float* at = value[k] + column + v * lanes;
      row[v] = left >= Vectors * lanes ? hn::LoadU(df, at) : hn::LoadN(df, at, left);
    }
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const floats w = hn::Set(df, weight[r * stride + k]);
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[r][v] = hn::MulAdd(w, row[v], acc[r][v]);
    }
  }
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v)
        hn::StoreU(acc[r][v], df, sums + r * sums_stride + column + v * lanes);
  }
}

template <size_t Rows>
HWY_INLINE void mix(const float* weight, size_t stride, const float* const* value, size_t d, size_t keys, float* sums,
                    size_t sums_stride) {
  constexpr size_t wide = lanes == 16 ? 4 : 2;  // 4 × 4 sums fill half of AVX-512's registers; 4 × 2 of AVX2's
  size_t i = 0;
  for (; i + wide * lanes <= d; i += wide * lanes) {
    mix_tile<Rows, wide>(weight, stride, value, keys, sums, sums_stride, i, d - i);
  }
  for (; i < d; i += lanes) mix_tile<Rows, 1>(weight, stride, value, keys, sums, sums_stride, i, d - i);
}

// ---- Softmax -----------------------------------------------------------------------------------------------------------

// A query: what it may see, and the factor of its scores.
struct attend_row {
  int64_t first;
  int64_t last;
  float scale;
};

// Maximum of some scores and Σ exp(score − maximum). Finite where nothing was seen, so that no ∞ − ∞ arises. Where a score
// was no number, or infinite, the sum is no number.
struct attend_sums {
  float maximum = -1e30f;
  float sum = 0.0f;
};

HWY_INLINE float exp_of(float x) { return hn::GetLane(hn::Exp(float_lanes(), hn::Set(float_lanes(), x))); }

// Scores at places [from, to) of the stretch that begins at position `begin` become weights; of others, nought.
HWY_INLINE attend_sums weigh(float* scores, int64_t begin, size_t from, size_t to, float cap, const attend_row& row,
                             const levels_stretch* levels, int16_t* weights, float* weight_step) {
  const float_lanes df;
  const int_lanes di;
  const floats scale = hn::Set(df, row.scale);
  const auto first = static_cast<int32_t>(
      std::clamp<int64_t>(row.first - begin, static_cast<int64_t>(from), static_cast<int64_t>(to)));
  const auto last =
      static_cast<int32_t>(std::clamp<int64_t>(row.last - begin, static_cast<int64_t>(from), static_cast<int64_t>(to)));
  const size_t start = from / lanes * lanes;  // a score's lane follows from its place, whoever shares its pass
  const auto whole = [&](size_t i) HWY_ATTR {
    return first <= static_cast<int32_t>(i) && static_cast<int32_t>(i + lanes) <= last;
  };
  const auto seen = [&](size_t i) HWY_ATTR {
    const auto k = hn::Iota(di, static_cast<int32_t>(i));
    return hn::RebindMask(df, hn::And(hn::Ge(k, hn::Set(di, first)), hn::Lt(k, hn::Set(di, last))));
  };
  attend_sums out;
  if (first < last) {
    floats top = hn::Set(df, out.maximum);
    floats unsound = hn::Zero(df);  // stays nought, but for scores that are no numbers
    for (size_t i = start; i < to; i += lanes) {
      floats s;
      if (levels != nullptr) {
        const floats product = hn::ConvertTo(df, hn::LoadU(di, reinterpret_cast<const int32_t*>(scores) + i));
        s = hn::Mul(product, hn::Mul(hn::LoadU(df, levels->key_step + i), scale));
      } else {
        s = hn::Mul(hn::LoadU(df, scores + i), scale);
      }
      unsound = hn::MulAdd(whole(i) ? s : hn::IfThenElseZero(seen(i), s), hn::Zero(df), unsound);
      if (cap != 0.0f) s = hn::Mul(hn::Set(df, cap), hn::Tanh(df, hn::Div(s, hn::Set(df, cap))));
      if (!whole(i)) s = hn::IfThenElse(seen(i), s, hn::Set(df, out.maximum));
      top = hn::Max(top, s);
      hn::StoreU(s, df, scores + i);
    }
    out.maximum = hn::ReduceMax(df, top);
    out.sum = hn::ReduceSum(df, unsound);
  }
  const floats maximum = hn::Set(df, out.maximum);
  floats sum = hn::Zero(df);
  floats level_sum = hn::Zero(df);
  floats level_top = hn::Zero(df);
  for (size_t i = start; i < to; i += lanes) {
    floats e = hn::Zero(df);
    if (first < last) {
      e = hn::Exp(df, hn::Sub(hn::LoadU(df, scores + i), maximum));
      if (!whole(i)) e = hn::IfThenElseZero(seen(i), e);
    }
    sum = hn::Add(sum, e);
    if (levels != nullptr) {
      e = whole(i) ? hn::Mul(e, hn::LoadU(df, levels->value_step + i))
                   : hn::IfThenElseZero(seen(i), hn::Mul(e, hn::LoadU(df, levels->value_step + i)));
      level_sum = hn::Add(level_sum, e);
      level_top = hn::Max(level_top, e);
    }
    hn::StoreU(e, df, scores + i);
  }
  out.sum += hn::ReduceSum(df, sum);
  if (levels != nullptr) {
    *weight_step =
        weights_to_levels(scores, start, to, hn::ReduceSum(df, level_sum), hn::ReduceMax(df, level_top), weights);
    weights[to] = 0;  // an odd number of keys is made even
  }
  return out;
}

// total += partial, both relative to their own maximum.
HWY_INLINE void add_partial(const float* partial, const attend_sums& of_partial, size_t width, float* total,
                            attend_sums& of_total) {
  if (of_partial.sum == 0.0f) return;
  const float_lanes df;
  const float maximum = std::max(of_total.maximum, of_partial.maximum);
  const float a = of_total.maximum == maximum ? 1.0f : exp_of(of_total.maximum - maximum);
  const float b = of_partial.maximum == maximum ? 1.0f : exp_of(of_partial.maximum - maximum);
  for (size_t i = 0; i < width; i += lanes) {
    const floats old = hn::Mul(hn::LoadU(df, total + i), hn::Set(df, a));
    hn::StoreU(hn::MulAdd(hn::LoadU(df, partial + i), hn::Set(df, b), old), df, total + i);
  }
  of_total.sum = of_total.sum * a + of_partial.sum * b;
  of_total.maximum = maximum;
}

// Sums of values, in the order that the products left them in, become a head's output.
HWY_INLINE void finish(const float* total, const attend_sums& sums, bool levels, size_t d, float* out) {
  const float_lanes df;
  const float inverse = sums.sum == 0.0f ? 0.0f : 1.0f / sums.sum;
  if (levels) {
    for (size_t i = 0; i < d; i += 4) {
      const float* from = total + place_of_columns(i);
      for (size_t k = 0; k < std::min<size_t>(4, d - i); ++k) out[i + k] = from[k] * inverse;
    }
  } else {
    for (size_t i = 0; i < d; i += lanes) {
      hn::StoreN(hn::Mul(hn::LoadU(df, total + i), hn::Set(df, inverse)), df, out + i, d - i);
    }
  }
}

// ---- The pass ----------------------------------------------------------------------------------------------------------

// Working memory of one call, and what is known of its rows.
struct attend_state {
  const cpu::attend_call& task;
  const cache_view& cache;
  size_t rows = 0;
  int64_t first = INT64_MAX;  // some row sees the keys [first, last)
  int64_t last = 0;

  static constexpr size_t stride = cpu::attend_keys + 32;
  float* scores;          // [rows, stride]; sums of 16-bit products before they are scores
  int16_t* weights;       // [rows, stride]
  int16_t* query_levels;  // [rows, attend_width(d)]
  float* partial;         // [rows, attend_partial_floats(d)]
  float* total;           // [rows, attend_partial_floats(d)]
  float* unpacked;        // [attend_unpacked, d]
  levels_stretch levels;

  const float* query[cpu::attend_queries];
  float* out[cpu::attend_queries];
  attend_row row[cpu::attend_queries];
  float weight_step[cpu::attend_queries];
  attend_sums partial_sums[cpu::attend_queries];
  attend_sums total_sums[cpu::attend_queries];
  const std::byte* keys[cpu::attend_keys + 4];
  const std::byte* values[cpu::attend_keys + 4];

  explicit attend_state(const cpu::attend_call& call) : task(call), cache(*call.cache) {
    const size_t d = cache.head_size;
    constexpr size_t queries = cpu::attend_queries;
    scores = task.scratch;
    partial = scores + queries * stride;
    total = partial + queries * cpu::attend_partial_floats(d);
    unpacked = total + queries * cpu::attend_partial_floats(d);
    levels.key_step = unpacked + cpu::attend_unpacked * (d + 64);
    levels.value_step = levels.key_step + stride;
    weights = reinterpret_cast<int16_t*>(levels.value_step + stride);
    query_levels = weights + queries * stride;

    const attention_call<float>& attention = *task.call;
    for (size_t t = 0; t < task.count; ++t) {
      const key_range range = attention.keys[task.token + t];
      for (size_t g = 0; g < task.group; ++g, ++rows) {
        const size_t offset = ((task.token + t) * attention.heads + task.head + g) * d;
        query[rows] = attention.query + offset;
        out[rows] = attention.out + offset;
        row[rows] = {index_of(range.first), index_of(range.last), attention.scale};
      }
      if (index_of(range.first) < index_of(range.last)) {
        first = std::min(first, index_of(range.first));
        last = std::max(last, index_of(range.last));
      }
    }
    if (task.partial != nullptr) {
      first = std::max<int64_t>(first, task.stretch * static_cast<int64_t>(cpu::attend_keys));
      last = std::min<int64_t>(last, (task.stretch + 1) * static_cast<int64_t>(cpu::attend_keys));
    }
  }
};

// Where the rows of positions [at, at + n) of one head lie.
HWY_INLINE void find_rows(const cache_view& cache, const std::byte* base, size_t head, int64_t at, size_t n,
                          const std::byte** row) {
  const size_t row_size = cached_row_bytes(cache.type, cache.head_size);
  const std::byte* begin = base + cache.offset(head, slot{0});
  size_t s = index_of(cache.at(position{at}));
  for (size_t k = 0; k < n; ++k) {
    row[k] = begin + s * row_size;
    s = s + 1 == cache.slots ? 0 : s + 1;
  }
}

// Rows as floats: where they lie, or unpacked.
HWY_INLINE void as_floats(const cache_view& cache, const std::byte* const* row, size_t n, float* unpacked,
                          const float** out) {
  for (size_t k = 0; k < n; ++k) {
    if (cache.type == storage::f32) {
      out[k] = reinterpret_cast<const float*>(row[k]);
    } else {
      unpack(cache.type, row[k], cache.head_size, unpacked + k * cache.head_size);
      out[k] = unpacked + k * cache.head_size;
    }
  }
}

// Asks for a row's bytes, so that they are in the second-level cache when their turn comes.
HWY_INLINE void fetch_row(const std::byte* row, size_t size) {
  for (size_t i = 0; i < size; i += 64) fetch_early(row + i);
}

// Scores, weights and sums of values over the positions [at, at + n), which lie in one stretch; the next has `ahead`
// keys.
template <bool Levels>
HWY_INLINE void attend_stretch(attend_state& s, int64_t at, size_t n, size_t ahead) {
  constexpr size_t stride = attend_state::stride;
  const cache_view& cache = s.cache;
  const size_t d = cache.head_size;
  const size_t width = cpu::attend_width(d);
  const size_t partial_size = cpu::attend_partial_floats(d);
  const size_t row_size = cached_row_bytes(cache.type, d);
  const size_t from = static_cast<size_t>(at) % cpu::attend_keys;
  const int64_t begin = at - static_cast<int64_t>(from);
  constexpr size_t step = cpu::attend_unpacked;
  find_rows(cache, cache.keys, s.task.cache_head, at, n, s.keys);
  find_rows(cache, cache.values, s.task.cache_head, at, n, s.values);

  if constexpr (Levels) {
    find_steps(cache, cache.keys, s.task.cache_head, at, n, s.levels.key_step + from);
    find_steps(cache, cache.values, s.task.cache_head, at, n, s.levels.value_step + from);
    // The last tile repeats the last row rather than reading past it; `weigh` hides the repeats.
    for (size_t k = n; k < n + 4; ++k) s.keys[k] = s.keys[n - 1], s.values[k] = s.values[n - 1];
    auto* products = reinterpret_cast<int32_t*>(s.scores) + from;
    for (size_t k = 0; k < n; k += 4) {
      size_t r = 0;
      const std::byte* next = s.values[k];  // the first queries to pass ask for the values
      for (; r + level_rows <= s.rows; r += level_rows, next = nullptr) {
        score_levels<level_rows>(s.query_levels + r * width, width, s.keys + k, products + r * stride + k, stride,
                                 next);
      }
      for (; r < s.rows; ++r, next = nullptr) {
        score_levels<1>(s.query_levels + r * width, width, s.keys + k, products + r * stride + k, stride, next);
      }
    }
  } else {
    const float* key[step + 4];
    for (size_t k0 = 0; k0 < n; k0 += step) {
      const size_t count = std::min(step, n - k0);
      as_floats(cache, s.keys + k0, count, s.unpacked, key);
      for (size_t k = count; k < count + 4; ++k) key[k] = key[count - 1];
      for (size_t k = 0; k < count; k += 4) {
        for (size_t j = k0 + k; j < std::min(k0 + k + 4, n); ++j) fetch_row(s.values[j], row_size);
        float* scores = s.scores + from + k0 + k;
        size_t r = 0;
        for (; r + 4 <= s.rows; r += 4) score_tile<4>(s.query + r, key + k, d, scores + r * stride, stride);
        for (; r < s.rows; ++r) score_tile<1>(s.query + r, key + k, d, scores + r * stride, stride);
      }
    }
  }

  for (size_t r = 0; r < s.rows; ++r) {
    s.partial_sums[r] = weigh(s.scores + r * stride, begin, from, from + n, s.task.call->soft_cap, s.row[r],
                              Levels ? &s.levels : nullptr, s.weights + r * stride, s.weight_step + r);
  }

  if (ahead != 0) find_rows(cache, cache.keys, s.task.cache_head, at + static_cast<int64_t>(n), ahead, s.keys);
  if constexpr (Levels) {
    for (size_t i = 0; i < width; i += mixed_columns) {
      const std::byte* next = ahead != 0 ? s.keys[0] + i / mixed_columns * n * 64 : nullptr;
      size_t r = 0;
      for (; r + 2 * level_rows <= s.rows; r += 2 * level_rows, next = nullptr) {
        mix_levels<2 * level_rows>(s.weights + r * stride + from, stride, s.values, n, i, s.weight_step + r,
                                   s.partial + r * partial_size, partial_size, next);
      }
      for (; r + level_rows <= s.rows; r += level_rows, next = nullptr) {
        mix_levels<level_rows>(s.weights + r * stride + from, stride, s.values, n, i, s.weight_step + r,
                               s.partial + r * partial_size, partial_size, next);
      }
      for (; r < s.rows; ++r, next = nullptr) {
        mix_levels<1>(s.weights + r * stride + from, stride, s.values, n, i, s.weight_step + r,
                      s.partial + r * partial_size, partial_size, next);
      }
    }
  } else {
    const float_lanes df;
    for (size_t r = 0; r < s.rows; ++r) {
      for (size_t i = 0; i < width; i += lanes) hn::StoreU(hn::Zero(df), df, s.partial + r * partial_size + i);
    }
    const float* value[step];
    for (size_t k0 = 0; k0 < n; k0 += step) {
      const size_t count = std::min(step, n - k0);
      as_floats(cache, s.values + k0, count, s.unpacked, value);
      for (size_t k = k0; k < std::min(k0 + count, ahead); ++k) fetch_row(s.keys[k], row_size);
      const float* weight = s.scores + from + k0;
      size_t r = 0;
      for (; r + 4 <= s.rows; r += 4)
        mix<4>(weight + r * stride, stride, value, d, count, s.partial + r * partial_size, partial_size);
      for (; r < s.rows; ++r)
        mix<1>(weight + r * stride, stride, value, d, count, s.partial + r * partial_size, partial_size);
    }
  }
}

template <bool Levels>
HWY_INLINE void attend_in(attend_state& s) {
  const float_lanes df;
  const size_t d = s.cache.head_size;
  const size_t width = cpu::attend_width(d);
  const size_t partial_size = cpu::attend_partial_floats(d);
  for (size_t r = 0; r < s.rows; ++r) {
    if constexpr (Levels) {
      s.row[r].scale *= row_to_levels<true>(s.query[r], d, s.query_levels + r * width);
      for (size_t i = cpu::attend_keys; i < attend_state::stride; ++i) s.weights[r * attend_state::stride + i] = 0;
    }
    if (s.task.partial == nullptr) {
      for (size_t i = 0; i < width; i += lanes) hn::StoreU(hn::Zero(df), df, s.total + r * partial_size + i);
    }
  }
  if (s.task.partial != nullptr) s.partial = s.task.partial;
  constexpr auto keys = static_cast<int64_t>(cpu::attend_keys);
  for (int64_t at = s.first; at < s.last;) {
    const int64_t end = std::min(s.last, (at / keys + 1) * keys);
    attend_stretch<Levels>(s, at, static_cast<size_t>(end - at), static_cast<size_t>(std::min(keys, s.last - end)));
    if (s.task.partial == nullptr) {
      for (size_t r = 0; r < s.rows; ++r) {
        add_partial(s.partial + r * partial_size, s.partial_sums[r], width, s.total + r * partial_size,
                    s.total_sums[r]);
      }
    }
    at = end;
  }
  for (size_t r = 0; r < s.rows; ++r) {
    if (s.task.partial == nullptr) {
      finish(s.total + r * partial_size, s.total_sums[r], Levels, d, s.out[r]);
    } else {  // after the sums: what they are relative to
      float* facts = s.partial + r * partial_size + width;
      facts[0] = s.partial_sums[r].maximum;
      facts[1] = s.partial_sums[r].sum;
    }
  }
}

inline void attend(const cpu::attend_call& task) {
  attend_state s(task);
  if (task.cache->type == storage::i16) {
    attend_in<true>(s);
  } else {
    attend_in<false>(s);
  }
}

inline void join_attention(const cpu::join_call& call) {
  const float_lanes df;
  const size_t width = cpu::attend_width(call.d);
  const size_t partial_size = cpu::attend_partial_floats(call.d);
  for (size_t r = 0; r < call.queries; ++r) {
    for (size_t i = 0; i < width; i += lanes) hn::StoreU(hn::Zero(df), df, call.scratch + i);
    attend_sums sums;
    const float* partial = call.partials + r * partial_size;
    for (size_t b = 0; b < call.stretches; ++b, partial += call.stride * partial_size) {
      add_partial(partial, {partial[width], partial[width + 1]}, width, call.scratch, sums);
    }
    finish(call.scratch, sums, call.type == storage::i16, call.d, call.out + r * call.d);
  }
}

inline void store(const cpu::store_call& call) {
  const cache_view& cache = *call.cache;
  const size_t d = cache.head_size;
  for (size_t t = call.first; t < call.first + call.count; ++t) {
    const slot s = cache.at(call.at + static_cast<int64_t>(t));
    for (size_t h = 0; h < cache.heads; ++h) {
      const size_t row = (t * cache.heads + h) * d;
      const auto put = [&](std::byte* base, const float* x, auto dot) HWY_ATTR {
        const float step = row_to_levels<dot>(x, d, reinterpret_cast<int16_t*>(base + cache.offset(h, s)));
        std::memcpy(base + cache.step_offset(h, s), &step, sizeof step);
      };
      put(cache.keys, call.keys + row, std::true_type{});
      put(cache.values, call.values + row, std::false_type{});
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_ATTEND_INL_H_
