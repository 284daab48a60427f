/// What becomes of a head's numbers: turned, and kept in a cache.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "g4/core/small_float.h"
#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/stored.cuh"

namespace g4::G4_SPACE {

G4_DEVICE void turn(float* a, float* b, float cos, float sin) {
  const float x = *a, y = *b;
  *a = x * cos - y * sin;
  *b = y * cos + x * sin;
}

/// Thirty-two numbers as Q8_0: `block::plain_q8_0` of `ops/quantise_row.h`.
G4_DEVICE void store_q8_0(const float* x, byte* out) {
  float most = 0, unsound = 0;  // the second stays nought, but for what is no number
  for (int i = 0; i < 32; ++i) {
    most = fmaxf(most, fabsf(x[i]));
    unsound += 0.0f * x[i];
  }
  const std::uint16_t bits = f16_from_float(fminf(most / 127.0f, 65504.0f) + unsound);
  const float d = float_from_f16(bits);
  const float inverse = d > 0 ? 1.0f / d : 0.0f;
  out[0] = static_cast<byte>(bits & 0xff);
  out[1] = static_cast<byte>(bits >> 8);
  for (int i = 0; i < 32; ++i) {
    const float q = nearbyintf(x[i] * inverse);
    out[2 + i] = static_cast<byte>(static_cast<signed char>(q >= -127.0f ? fminf(q, 127.0f) : -127.0f));
  }
}
/// Where a cache keeps position `at` of a head: bytes from its beginning.
G4_DEVICE std::size_t cached_at(const gpu_calls::text_rows& of, std::size_t head, std::int64_t at) {
  return (head * of.cache.slots + static_cast<std::size_t>(at) % of.cache.slots) * of.row_bytes;
}
/// A half float; what is beyond the greatest becomes that, and what is no number or infinite stays so.
G4_DEVICE std::uint16_t kept_half(float x) {
  const bool finite = fabsf(x) <= 3.4028235e38f;
  return static_cast<std::uint16_t>(half_bits(finite ? fminf(fmaxf(x, -65504.0f), 65504.0f) : x));
}

/// Numbers [first, first + 32) of row t's head [d], as far as there are any, into the cache. One thread.
G4_DEVICE void keep(const gpu_calls::text_rows& into, std::size_t t, std::size_t head, std::size_t first,
                    const float* key, const float* value) {
  const cache_view& cache = into.cache;
  const std::size_t to = cached_at(into, head, index_of(into.rows[t].at));
  const std::size_t last = first + 32 < cache.head_size ? first + 32 : cache.head_size;
  if (cache.type == storage::q8_0) {
    const std::size_t block = first / 32 * stored<storage::q8_0>::bytes;
    store_q8_0(key + first, reinterpret_cast<byte*>(cache.keys) + to + block);
    store_q8_0(value + first, reinterpret_cast<byte*>(cache.values) + to + block);
  } else if (cache.type == storage::f16) {
    auto *const keys = reinterpret_cast<std::uint16_t*>(cache.keys + to), *const values =
                                                                              reinterpret_cast<std::uint16_t*>(
                                                                                  cache.values + to);
    for (std::size_t n = first; n < last; ++n) {
      keys[n] = kept_half(key[n]);
      values[n] = kept_half(value[n]);
    }
  } else {
    auto *const keys = reinterpret_cast<float*>(cache.keys + to), *const values =
                                                                      reinterpret_cast<float*>(cache.values + to);
    for (std::size_t n = first; n < last; ++n) {
      keys[n] = key[n];
      values[n] = value[n];
    }
  }
}

}  // namespace g4::G4_SPACE
