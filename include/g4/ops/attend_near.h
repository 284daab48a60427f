/// Attention among neighbours, with a term for how far away each is.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "g4/ops/softmax.h"

namespace g4::ops {

/// Rows that each look at a few rows behind and ahead of themselves.
template <class Scalar>
struct near_attention {
  std::size_t rows = 0;       ///< T
  std::size_t heads = 0;      ///< H
  std::size_t head_size = 0;  ///< d
  std::size_t past = 0;       ///< keys a row sees up to itself: 0 ≤ t − s < past
  std::size_t ahead = 0;      ///< and ahead of itself: 0 < s − t < ahead
  std::size_t distances = 0;  ///< P
  std::size_t self = 0;       ///< the row of `distance` for a row and itself
  float query_scale = 1;
  float key_scale = 1;
  float cap = 0;
  const Scalar* query = nullptr;       ///< [T, H, d]
  const Scalar* key = nullptr;         ///< [T, H, d]
  const Scalar* value = nullptr;       ///< [T, H, d]
  const Scalar* distance = nullptr;    ///< [P, H, d]  row j for keys self − j rows away
  const float* per_number = nullptr;   ///< [d]        further factors of queries
  bool softened = false;               ///< `per_number` holds softplus of what it is made of already
  Scalar* out = nullptr;               ///< [T, H, d]
};

/// softplus(x) = log(1 + exp(x)), which is x where exp(x) leaves nothing of the 1.
template <class Scalar>
[[nodiscard]] constexpr Scalar softplus(Scalar x) {
  return x > 20 ? x : std::log1p(std::exp(x));
}

/// Rows first … first + count of
///
///     q'[t]   = q[t] · query_scale · softplus(per_number),   k'[s] = k[s] · key_scale
///     z[t, s] = cap · tanh((q'[t]·k'[s] + q'[t]·r[self − (t − s)]) / cap)      for every s that t sees
///     out[t]  = Σ_s softmax(z[t])[s] · v[s]
///
/// head by head. A key further away than there are distances for has no second term.
/// Source: Gemma4AudioAttention of transformers 5.23.0, which cuts the rows into blocks and shifts a table over each;
/// what is left of that is which distances there are (`model/tower/conformer.h`).
template <class Scalar>
void attend_near(const near_attention<Scalar>& a, std::size_t first, std::size_t count) {
  const std::size_t d = a.head_size, width = a.heads * d;
  std::vector<Scalar> room(2 * d + a.past + a.ahead);
  Scalar* const factor = room.data();
  Scalar* const q = factor + d;
  Scalar* const score = q + d;
  for (std::size_t i = 0; i < d; ++i) {
    const auto x = static_cast<Scalar>(a.per_number[i]);
    factor[i] = static_cast<Scalar>(a.query_scale) * (a.softened ? x : softplus(x));
  }
  const auto cap = static_cast<Scalar>(a.cap);
  for (std::size_t t = first; t < first + count; ++t) {
    const std::size_t from = t + 1 > a.past ? t + 1 - a.past : 0;
    const std::size_t to = std::min(a.rows, t + std::max<std::size_t>(a.ahead, 1));
    for (std::size_t h = 0; h < a.heads; ++h) {
      for (std::size_t i = 0; i < d; ++i) q[i] = a.query[t * width + h * d + i] * factor[i];
      for (std::size_t s = from; s < to; ++s) {
        const Scalar* const k = a.key + s * width + h * d;
        Scalar sum = 0, far = 0;
        for (std::size_t i = 0; i < d; ++i) sum += q[i] * (k[i] * static_cast<Scalar>(a.key_scale));
        if (const std::size_t j = a.self + s - t; j < a.distances) {
          const Scalar* const r = a.distance + j * width + h * d;
          for (std::size_t i = 0; i < d; ++i) far += q[i] * r[i];
        }
        score[s - from] = cap * std::tanh((sum + far) / cap);
      }
      softmax(score, to - from);
      Scalar* const y = a.out + t * width + h * d;
      std::fill_n(y, d, Scalar(0));
      for (std::size_t s = from; s < to; ++s) {
        const Scalar* const v = a.value + s * width + h * d;
        for (std::size_t i = 0; i < d; ++i) y[i] += score[s - from] * v[i];
      }
    }
  }
}

}  // namespace g4::ops
