/// One row of a pass: a token, and where it stands.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/core/token_id.h"
#include "g4/tensor/cache.h"

namespace g4 {

/// A token on its way through a model, and all that its row needs to know. Rows of several texts may share a pass: each
/// reads and writes the cache of its own text, at its own position.
struct pass_row {
  position at{};           ///< its place in its text
  position run_end{};      ///< behind the last token of its picture; at + 1 where it belongs to none
  position text_end{};     ///< behind the last token of its text that is in the cache once this pass has run
  token_id id = 0;         ///< whose row of the table it starts from
  token_id looked_up = 0;  ///< whose row of the per-layer table it reads: 0, the padding, where it is no plain token
  std::int32_t text = 0;   ///< which of the pass's texts it belongs to
};

/// The caches of the texts of a pass: `caches[text][layer]`.
using text_caches = const cache_view* const*;

/// Keys and values of T rows on their way into the caches of their texts.
///
/// keys, values   [T, K, d]
/// rows           [T]; rows of one text that stand side by side have positions in order
template <class Scalar>
struct cached_rows {
  text_caches caches = nullptr;
  std::size_t layer = 0;
  const pass_row* rows = nullptr;
  std::size_t count = 0;  ///< T
  const Scalar* keys = nullptr;
  const Scalar* values = nullptr;
  std::size_t texts = 1;  ///< how many the rows are of, for a backend whose rows the host cannot read

  [[nodiscard]] const cache_view& cache_of(std::size_t t) const { return caches[rows[t].text][layer]; }
};

/// Attention of T rows, each over the keys of its own text: `of` with `keys` and the rest by row, see `attention_call`.
template <class Scalar>
struct row_attention {
  text_caches caches = nullptr;
  std::size_t layer = 0;
  const pass_row* rows = nullptr;  ///< [T]
  attention_call<Scalar> of;
  std::size_t texts = 1;  ///< as in `cached_rows`
};

/// What becomes of T rows' queries, keys and values behind their projections: `composed::turn_heads`.
///
/// cos, sin   [T, d/2]
template <class Scalar>
struct heads_call {
  Scalar* query = nullptr;            ///< [T, H, d], in place; null: there are keys alone
  std::size_t heads = 0;              ///< H
  const float* query_norm = nullptr;  ///< [d]; null: none
  Scalar* key = nullptr;              ///< [T, K, d], in place; null: there are queries alone
  Scalar* value = nullptr;            ///< [T, K, d]
  const Scalar* raw_value = nullptr;  ///< [T, K, d], value or key
  std::size_t key_heads = 0;          ///< K
  const float* key_norm = nullptr;    ///< [d]; null: none
  bool value_normed = false;          ///< without a weight
  std::size_t head_size = 0;          ///< d
  std::size_t rows = 0;               ///< T
  float eps = 0;
  const Scalar* cos = nullptr;
  const Scalar* sin = nullptr;
  text_caches caches = nullptr;  ///< where keys and values go, as in `cached_rows`
  std::size_t layer = 0;
  const pass_row* begun = nullptr;
  std::size_t texts = 1;
};

/// Calls body(first, count) for each stretch of rows that are of one text, one position after the other.
template <class Body>
void each_stretch(const pass_row* rows, std::size_t count, Body&& body) {
  for (std::size_t first = 0; first < count;) {
    std::size_t end = first + 1;
    while (end < count && rows[end].text == rows[first].text && rows[end].at == rows[end - 1].at + 1) ++end;
    body(first, end - first);
    first = end;
  }
}

namespace detail {

/// The part of an attention that rows [first, first + count) are.
template <class Scalar>
[[nodiscard]] attention_call<Scalar> part_of(const attention_call<Scalar>& call, std::size_t head_size,
                                             std::size_t first, std::size_t count) {
  attention_call<Scalar> part = call;
  part.query += first * call.heads * head_size;
  part.out += first * call.heads * head_size;
  part.keys += first;
  part.tokens = count;
  return part;
}

}  // namespace detail

/// An attention of rows of several texts as one `attend(cache, call)` per stretch of one text.
template <class Scalar, class Attend>
void attend_by_text(const row_attention<Scalar>& call, Attend&& attend) {
  each_stretch(call.rows, call.of.tokens, [&](std::size_t first, std::size_t count) {
    const cache_view& cache = call.caches[call.rows[first].text][call.layer];
    attend(cache, detail::part_of(call.of, cache.head_size, first, count));
  });
}

/// Keys and values of several texts as one `store(cache, keys, values, count, at)` per stretch of one text.
template <class Scalar, class Store>
void store_by_text(const cached_rows<Scalar>& call, Store&& store) {
  each_stretch(call.rows, call.count, [&](std::size_t first, std::size_t count) {
    const cache_view& cache = call.cache_of(first);
    const std::size_t skip = first * cache.heads * cache.head_size;
    store(cache, call.keys + skip, call.values + skip, count, call.rows[first].at);
  });
}

}  // namespace g4
