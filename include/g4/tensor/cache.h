/// Keys and values of one attention layer, and which of them a query may see.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/tensor/storage.h"

namespace g4 {

/// A place in the text: 0 is the first token. Never an index into memory: see `slot`.
enum class position : std::int64_t {};

/// A place in a cache's memory. A sliding layer's cache is a ring: position p lives in slot p mod slots.
enum class slot : std::size_t {};

[[nodiscard]] constexpr std::int64_t index_of(position p) { return static_cast<std::int64_t>(p); }
[[nodiscard]] constexpr std::size_t index_of(slot s) { return static_cast<std::size_t>(s); }
[[nodiscard]] constexpr position operator+(position p, std::int64_t n) { return position{index_of(p) + n}; }

/// The keys [first, last) that one query sees. Every mask of the family (causal, sliding, image runs, bidirectional)
/// lets a query see one contiguous stretch of positions, so two numbers per query say it all.
struct key_range {
  position first{};
  position last{};
};

/// Bytes of one head's row of d elements. 16-bit levels are padded with noughts to whole vectors of any machine.
[[nodiscard]] constexpr std::size_t cached_row_bytes(storage type, std::size_t d) {
  return row_bytes(type, type == storage::i16 ? (d + 31) / 32 * 32 : d);
}

/// Bytes of the keys, or of the values, of one layer; a whole number of 64-byte lines.
[[nodiscard]] constexpr std::size_t cached_bytes(storage type, std::size_t heads, std::size_t slots, std::size_t d) {
  const std::size_t step = type == storage::i16 ? sizeof(float) : 0;
  return (heads * slots * (cached_row_bytes(type, d) + step) + 63) / 64 * 64;
}

/// Keys and values of one layer: per key/value head, `slots` rows of `head_size` elements.
///
///     keys, values   [K, slots, d], element type `type`; for i16 followed by the rows' steps [K, slots]
struct cache_view {
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  std::size_t slots = 0;
  std::size_t heads = 0;      ///< K
  std::size_t head_size = 0;  ///< d
  storage type = storage::f32;

  [[nodiscard]] constexpr slot at(position p) const { return slot{static_cast<std::size_t>(index_of(p)) % slots}; }
  /// Byte offset of a head's row, the same for keys and values.
  [[nodiscard]] constexpr std::size_t offset(std::size_t head, slot s) const {
    return (head * slots + index_of(s)) * cached_row_bytes(type, head_size);
  }
  /// Byte offset of the row's step; i16 only.
  [[nodiscard]] constexpr std::size_t step_offset(std::size_t head, slot s) const {
    return heads * slots * cached_row_bytes(type, head_size) + (head * slots + index_of(s)) * sizeof(float);
  }
};

/// What an attention needs beside its cache, or the caches of its rows' texts.
///
///     scores[t, h, p] = cap(scale · q[t, h] · k[h / (H/K), p])   for p in keys[t], cap(s) = c·tanh(s/c) or s
///     y[t, h]         = Σ_p softmax_p(scores[t, h]) · v[h / (H/K), p]
///
/// query, out  [T, H, d]      keys  [T] ranges
template <class Scalar>
struct attention_call {
  const Scalar* query = nullptr;
  const key_range* keys = nullptr;
  Scalar* out = nullptr;
  std::size_t tokens = 0;  ///< T
  std::size_t heads = 0;   ///< H
  float scale = 1.0f;
  float soft_cap = 0.0f;  ///< c; 0 means none
};

}  // namespace g4
