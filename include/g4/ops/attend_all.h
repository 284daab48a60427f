/// Attention in which every row sees every other.
#pragma once

#include <cstddef>
#include <vector>

#include "g4/ops/softmax.h"

namespace g4::ops {

/// Rows of queries, keys and values of an encoder's layer.
template <class Scalar>
struct all_attention {
  std::size_t rows = 0;       ///< T
  std::size_t heads = 0;      ///< H
  std::size_t key_heads = 0;  ///< K
  std::size_t head_size = 0;  ///< d
  float scale = 1;            ///< > 0
  const Scalar* query = nullptr;  ///< [T, H, d]
  const Scalar* key = nullptr;    ///< [T, K, d]
  const Scalar* value = nullptr;  ///< [T, K, d]
  Scalar* out = nullptr;          ///< [T, H, d]
};

/// out[t, h] = Σ_s softmax_s(scale · q[t, h]·k[s, h / (H/K)]) · v[s, h / (H/K)]
template <class Scalar>
void attend_all(const all_attention<Scalar>& a) {
  const std::size_t d = a.head_size;
  std::vector<Scalar> score(a.rows);
  for (std::size_t t = 0; t < a.rows; ++t) {
    for (std::size_t h = 0; h < a.heads; ++h) {
      const std::size_t head = h / (a.heads / a.key_heads);
      const auto row_of = [&](const Scalar* x, std::size_t s) { return x + (s * a.key_heads + head) * d; };
      const Scalar* const q = a.query + (t * a.heads + h) * d;
      for (std::size_t s = 0; s < a.rows; ++s) {
        Scalar sum = 0;
        for (std::size_t i = 0; i < d; ++i) sum += q[i] * row_of(a.key, s)[i];
        score[s] = sum * static_cast<Scalar>(a.scale);
      }
      softmax(score.data(), a.rows);
      Scalar* const y = a.out + (t * a.heads + h) * d;
      for (std::size_t i = 0; i < d; ++i) y[i] = 0;
      for (std::size_t s = 0; s < a.rows; ++s) {
        for (std::size_t i = 0; i < d; ++i) y[i] += score[s] * row_of(a.value, s)[i];
      }
    }
  }
}

}  // namespace g4::ops
