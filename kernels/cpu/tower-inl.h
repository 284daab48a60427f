// What only towers use, row by row and number by number. Definitions: include/g4/ops/layer_norm.h, rope.h (rope_2d),
// convolve.h, attend_near.h, sigmoid.h, keep_within.h; additions: include/g4/backend/definitions/rows.h.
#if defined(G4_KERNELS_CPU_TOWER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_TOWER_INL_H_
#undef G4_KERNELS_CPU_TOWER_INL_H_
#else
#define G4_KERNELS_CPU_TOWER_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "g4/backend/cpu/calls.h"
#include "hwy/highway.h"
// after highway.h
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// y[i] = f(i, how many are left) over whole vectors and a rest: f gives a vector.
template <class One>
HWY_INLINE void each_vector(size_t n, float* y, One one) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  size_t i = 0;
  for (; i + step <= n; i += step) hn::StoreU(one([&](const float* at) HWY_ATTR { return hn::LoadU(df, at + i); }), df, y + i);
  if (i == n) return;
  hn::StoreN(one([&](const float* at) HWY_ATTR { return hn::LoadN(df, at + i, n - i); }), df, y + i, n - i);
}

inline void add(const float* x, size_t n, float* y) {
  each_vector(n, y, [&](auto load) HWY_ATTR { return hn::Add(load(y), load(x)); });
}

inline void add_bias(float* y, const float* bias, size_t rows, size_t width) {
  for (size_t t = 0; t < rows; ++t) add(bias, width, y + t * width);
}

// What is no number stays none, as neither bound is passed.
inline void keep_within(const float* x, size_t n, float least, float most, float* y) {
  const hn::ScalableTag<float> df;
  const auto low = hn::Set(df, least), high = hn::Set(df, most), lowest = hn::Set(df, std::min(least, most));
  each_vector(n, y, [&](auto load) HWY_ATTR {
    const auto v = load(x);
    return hn::IfThenElse(hn::Lt(v, low), lowest, hn::IfThenElse(hn::Gt(v, high), high, v));
  });
}

template <class D, class V>
HWY_INLINE V sigmoid(D df, V x) {  // below −88, exp(−x) is infinite and this nought
  const auto e = hn::Exp(df, hn::Min(hn::Neg(x), hn::Set(df, 104.0f)));
  return hn::Div(hn::Set(df, 1.0f), hn::Add(hn::Set(df, 1.0f), e));
}

inline void silu(float* x, size_t n) {
  const hn::ScalableTag<float> df;
  each_vector(n, x, [&](auto load) HWY_ATTR {
    const auto v = load(x);
    return hn::Mul(v, sigmoid(df, v));
  });
}

inline void glu(const float* x, size_t rows, size_t width, float* y) {
  const hn::ScalableTag<float> df;
  for (size_t t = 0; t < rows; ++t, x += 2 * width, y += width) {
    each_vector(width, y, [&](auto load) HWY_ATTR { return hn::Mul(load(x), sigmoid(df, load(x + width))); });
  }
}

inline void layer_norm(const cpu::layer_norm_call& call) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df), n = call.width;
  for (size_t t = 0; t < call.rows; ++t) {
    const float* const x = call.x + t * n;
    float* const y = call.y + t * n;
    auto sum = hn::Zero(df);
    for (size_t i = 0; i < n; i += step) sum = hn::Add(sum, hn::LoadN(df, x + i, n - i));
    const auto mean = hn::Set(df, hn::ReduceSum(df, sum) / static_cast<float>(n));
    auto squares = hn::Zero(df);
    for (size_t i = 0; i < n; i += step) {
      auto v = hn::Sub(hn::LoadN(df, x + i, n - i), mean);
      if (i + step > n) v = hn::IfThenElseZero(hn::FirstN(df, n - i), v);
      squares = hn::MulAdd(v, v, squares);
    }
    const auto factor =
        hn::Set(df, 1.0f / std::sqrt(hn::ReduceSum(df, squares) / static_cast<float>(n) + call.eps));
    each_vector(n, y, [&](auto load) HWY_ATTR {
      const auto v = hn::Mul(hn::Mul(hn::Sub(load(x), mean), factor), load(call.weight));
      return call.bias != nullptr ? hn::Add(v, load(call.bias)) : v;
    });
  }
}

inline void rope_2d(const cpu::rope_call& call) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df), half = call.d / 2, pairs = call.d / 4;
  float* x = call.x;
  for (size_t t = 0; t < call.tokens; ++t) {
    for (size_t h = 0; h < 2 * call.heads; ++h, x += half) {
      const float* const cos = call.cos + t * half + h % 2 * pairs;
      const float* const sin = call.sin + t * half + h % 2 * pairs;
      for (size_t i = 0; i < pairs; i += step) {
        const size_t left = pairs - i;
        const auto c = hn::LoadN(df, cos + i, left), s = hn::LoadN(df, sin + i, left);
        const auto a = hn::LoadN(df, x + i, left), b = hn::LoadN(df, x + pairs + i, left);
        hn::StoreN(hn::NegMulAdd(b, s, hn::Mul(a, c)), df, x + i, left);
        hn::StoreN(hn::MulAdd(a, s, hn::Mul(b, c)), df, x + pairs + i, left);
      }
    }
  }
}

// Columns are taken a vector at a time, whose kernels are gathered once for all rows.
inline void convolve_back(const cpu::convolve_call& call) {
  const hn::CappedTag<float, 16> df;
  constexpr size_t most = 16;
  const size_t step = hn::Lanes(df), width = call.width;
  HWY_ALIGN float kernel[most][16] = {};
  for (size_t i = 0; i < width; i += step) {
    const size_t there = std::min(step, width - i);
    for (size_t piece = 0; piece < call.side; piece += most) {  // kernels are short: one piece
      const size_t n = std::min(most, call.side - piece);
      for (size_t j = 0; j < n; ++j) {
        for (size_t c = 0; c < there; ++c) kernel[j][c] = call.kernel[(i + c) * call.side + piece + j];
      }
      for (size_t t = call.first; t < call.first + call.count; ++t) {
        auto sum = piece == 0 ? hn::Zero(df) : hn::LoadN(df, call.y + t * width + i, there);
        for (size_t j = 0; j < n; ++j) {
          const size_t at = t + piece + j + 1;  // of the rows with side rows of noughts before them
          if (at < call.side) continue;
          sum = hn::MulAdd(hn::Load(df, kernel[j]), hn::LoadN(df, call.x + (at - call.side) * width + i, there), sum);
        }
        hn::StoreN(sum, df, call.y + t * width + i, there);
      }
    }
  }
}

inline void attend_near(const cpu::near_call& call) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  const ops::near_attention<float>& a = *call.of;
  const size_t d = a.head_size, width = a.heads * d;
  float* const factor = call.scratch;
  float* const q = factor + d;
  float* const score = q + d;
  for (size_t i = 0; i < d; ++i) factor[i] = a.query_scale * (a.softened ? a.per_number[i] : ops::softplus(a.per_number[i]));
  const auto key_scale = hn::Set(df, a.key_scale);
  const auto dot_with_query = [&](const float* x) HWY_ATTR {
    auto sum = hn::Zero(df);
    for (size_t i = 0; i < d; i += step) sum = hn::MulAdd(hn::LoadN(df, q + i, d - i), hn::LoadN(df, x + i, d - i), sum);
    return sum;
  };
  for (size_t t = call.first; t < call.first + call.count; ++t) {
    const size_t from = t + 1 > a.past ? t + 1 - a.past : 0;
    const size_t to = std::min(a.rows, t + std::max<size_t>(a.ahead, 1)), n = to - from;
    for (size_t h = 0; h < a.heads; ++h) {
      const float* const query = a.query + t * width + h * d;
      each_vector(d, q, [&](auto load) HWY_ATTR { return hn::Mul(load(query), load(factor)); });
      for (size_t s = from; s < to; ++s) {
        auto sum = hn::Mul(dot_with_query(a.key + s * width + h * d), key_scale);
        if (const size_t j = a.self + s - t; j < a.distances) {
          sum = hn::Add(sum, dot_with_query(a.distance + j * width + h * d));
        }
        score[s - from] = hn::ReduceSum(df, sum) / a.cap;
      }
      const auto cap = hn::Set(df, a.cap);
      each_vector(n, score, [&](auto load) HWY_ATTR { return hn::Mul(cap, hn::Tanh(df, load(score))); });
      const float most = *std::max_element(score, score + n);
      each_vector(n, score, [&](auto load) HWY_ATTR { return hn::Exp(df, hn::Sub(load(score), hn::Set(df, most))); });
      float sum = 0;
      for (size_t s = 0; s < n; ++s) sum += score[s];
      float* const y = a.out + t * width + h * d;
      const float* const value = a.value + from * width + h * d;
      for (size_t i = 0; i < d; i += step) {
        auto mixed = hn::Zero(df);
        for (size_t s = 0; s < n; ++s) {
          mixed = hn::MulAdd(hn::Set(df, score[s]), hn::LoadN(df, value + s * width + i, d - i), mixed);
        }
        hn::StoreN(hn::Mul(mixed, hn::Set(df, 1.0f / sum)), df, y + i, d - i);
      }
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_TOWER_INL_H_
