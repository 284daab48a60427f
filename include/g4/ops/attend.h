/// Grouped-query attention over a cache, in its three plain steps.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "g4/ops/dequantise.h"
#include "g4/ops/quantise_row.h"
#include "g4/ops/soft_cap.h"
#include "g4/ops/softmax.h"
#include "g4/tensor/cache.h"

namespace g4::ops {

/// Writes keys and values [tokens, K, d] of the positions at, at + 1, … into their slots. The cache holds `Scalar`s, or
/// Q8_0.
template <class Scalar>
void store(const cache_view& cache, const Scalar* keys, const Scalar* values, std::size_t tokens, position at) {
  const auto put = [&cache](const Scalar* row, std::byte* out) {
    if (cache.type == storage::q8_0) {
      quantise_q8_0(row, cache.head_size, out);
    } else {
      std::memcpy(out, row, cache.head_size * sizeof(Scalar));
    }
  };
  for (std::size_t t = 0; t < tokens; ++t) {
    const slot s = cache.at(at + static_cast<std::int64_t>(t));
    for (std::size_t h = 0; h < cache.heads; ++h, keys += cache.head_size, values += cache.head_size) {
      put(keys, cache.keys + cache.offset(h, s));
      put(values, cache.values + cache.offset(h, s));
    }
  }
}

/// Attention of `call.tokens` queries over the cached keys each of them may see: see `attention_call` for the equation.
/// Query head h reads key/value head h / (H / K). The cache holds `Scalar`s, or Q8_0.
///
/// scores   working memory, grown as needed
/// Source: transformers 5.23.0, eager_attention_forward of modeling_gemma4.py and modeling_gemma3.py.
template <class Scalar>
void attend(const cache_view& cache, const attention_call<Scalar>& call, std::vector<Scalar>& scores) {
  const std::size_t d = cache.head_size;
  const std::size_t group = call.heads / cache.heads;
  Scalar* unpacked = nullptr;
  const auto row = [&](const std::byte* base, std::size_t offset) -> const Scalar* {
    if (cache.type != storage::q8_0) return reinterpret_cast<const Scalar*>(base + offset);
    dequantise(cache.type, base + offset, d, unpacked);
    return unpacked;
  };
  for (std::size_t t = 0; t < call.tokens; ++t) {
    const key_range range = call.keys[t];
    const auto count = static_cast<std::size_t>(index_of(range.last) - index_of(range.first));
    if (scores.size() < count + d) scores.resize(count + d);
    unpacked = scores.data() + count;
    for (std::size_t h = 0; h < call.heads; ++h) {
      const Scalar* query = call.query + (t * call.heads + h) * d;
      Scalar* out = call.out + (t * call.heads + h) * d;
      const auto offset_of = [&](std::size_t p) {
        return cache.offset(h / group, cache.at(range.first + static_cast<std::int64_t>(p)));
      };

      for (std::size_t p = 0; p < count; ++p) {  // scores
        const Scalar* key = row(cache.keys, offset_of(p));
        Scalar dot = 0;
        for (std::size_t i = 0; i < d; ++i) dot += query[i] * key[i];
        scores[p] = dot * static_cast<Scalar>(call.scale);
      }
      if (call.soft_cap != 0) soft_cap(scores.data(), count, call.soft_cap);
      softmax(scores.data(), count);

      for (std::size_t i = 0; i < d; ++i) out[i] = 0;  // mix
      for (std::size_t p = 0; p < count; ++p) {
        const Scalar* value = row(cache.values, offset_of(p));
        for (std::size_t i = 0; i < d; ++i) out[i] += scores[p] * value[i];
      }
    }
  }
}

}  // namespace g4::ops
