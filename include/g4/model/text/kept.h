/// What of a text outlives its runs: the part of its caches that has been written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "g4/spec/text.h"
#include "g4/tensor/cache.h"

namespace g4 {

namespace detail {

/// Calls body(p, q, bytes) for each stretch of a layer's caches a and b that holds keys or values of `count` tokens which lie side
/// by side in both, from slot `from` of a and slot `to` of b on.
template <class Body>
void each_stretch(const cache_view& a, slot from, const cache_view& b, slot to, std::size_t count, Body&& body) {
  const auto stretch = [&](std::size_t p, std::size_t q, std::size_t bytes) {
    body(a.keys + p, b.keys + q, bytes);
    body(a.values + p, b.values + q, bytes);
  };
  for (std::size_t head = 0; count > 0 && head < a.heads; ++head) {
    stretch(a.offset(head, from), b.offset(head, to), count * cached_row_bytes(a.type, a.head_size));
    if (a.type != storage::i16) continue;
    stretch(a.step_offset(head, from), b.step_offset(head, to), count * sizeof(float));
  }
}

}  // namespace detail

/// Calls body(p, q, bytes) for each stretch of two texts' caches that holds keys or values of their first `tokens` tokens:
/// p in those of one, q in those of the other.
///
/// Slots are filled in order, so that is as many of a layer's slots from the first on, or all of them where a ring has gone
/// round. The two take as many rows at once, so that a token lies in the same slot of both.
template <class Body>
void each_kept(const text_spec& m, const cache_view* one, const cache_view* other, std::size_t tokens, Body&& body) {
  for (int l = 0; l < m.layers; ++l) {
    if (one[l].keys == nullptr) continue;  // a layer that reads another's
    detail::each_stretch(one[l], slot{0}, other[l], slot{0}, std::min(tokens, one[l].slots), body);
  }
}

/// The same of two texts that need not take as many rows at once, nor have room for as many tokens: of the first `size`
/// tokens those that both have room for, which are all that what follows can see. A token may lie in another slot of each.
///
/// furthest   the most tokens that have been in the caches of `one`: those behind `size` were taken back
template <class Body>
void each_kept_last(const text_spec& m, const cache_view* one, std::size_t size, std::size_t furthest,
                    const cache_view* other, Body&& body) {
  for (int l = 0; l < m.layers; ++l) {
    const cache_view& a = one[l];
    const cache_view& b = other[l];
    if (a.keys == nullptr) continue;  // a layer that reads another's
    const std::size_t still_in_one = furthest > a.slots ? a.slots - (furthest - size) : size;
    for (std::size_t at = size - std::min({size, still_in_one, b.slots}); at < size;) {
      const position first{static_cast<std::int64_t>(at)};
      const slot from = a.at(first), to = b.at(first);
      const std::size_t count = std::min({size - at, a.slots - index_of(from), b.slots - index_of(to)});
      detail::each_stretch(a, from, b, to, count, body);
      at += count;
    }
  }
}

}  // namespace g4
