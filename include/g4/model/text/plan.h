/// The memory a text needs, known before anything is taken.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "g4/tensor/work_limits.h"
#include "g4/core/compiled.h"
#include "g4/model/kinds.h"
#include "g4/model/stack/scratch.h"
#include "g4/spec/text.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/share.h"
#include "g4/tensor/storage.h"

namespace g4 {

/// What keys and values are kept as, for each kind of layer; unset, the backend chooses (`cache_storage`).
///
/// Q8_0 takes about half of 16 bits and a quarter of float32, for an error of its own: see docs/performance.md. Every
/// head size must be a multiple of 32.
struct cache_choice {
  std::optional<storage> local{};
  std::optional<storage> global{};
};

/// What a session is made for.
struct session_options {
  std::size_t context = 4096;       ///< most tokens it can hold, prompt and answer together
  std::size_t batch = 256;          ///< most tokens run at once; longer prompts are run in chunks
  std::int64_t first_position = 0;  ///< position that the first token's rotation starts from
  cache_choice cache{};
  /// 0: `run` returns all logits. k: only the k greatest are wanted, as greedy choice (1) or top-k sampling does, and any other
  /// may be −∞; a backend that can then keeps its head so that it reads less of it.
  std::size_t best_logits = 0;
};

/// What a layer's keys and values are kept as.
[[nodiscard]] constexpr storage cache_type(const layer_kind& k, const cache_choice& choice, storage otherwise) {
  return (k.sees == reach::local ? choice.local : choice.global).value_or(otherwise);
}

/// Slots of a layer's cache: a local layer keeps its window and one batch in a ring, a global layer the whole context.
[[nodiscard]] constexpr std::size_t cache_slots(const layer_kind& k, std::size_t context, std::size_t batch) {
  if (k.keys.back == key_span::unbounded || k.keys.ahead != 0) return context;
  // One more than the window: a drafter's local layers see window + 1 keys of their target.
  return std::min(context, arena::sum(static_cast<std::size_t>(k.keys.back) + 2, batch));
}

/// Bytes of a layer's keys, and as many of its values; `arena::too_much` where that is more than can be counted.
[[nodiscard]] constexpr std::size_t half_cache_bytes(const layer_kind& k, std::size_t slots, storage type) {
  const auto heads = static_cast<std::size_t>(k.key_value_heads);
  const auto d = static_cast<std::size_t>(k.head_size);
  const std::size_t row = cached_row_bytes(type, d) + sizeof(float);
  if (arena::product(arena::product(heads, slots), row) >= arena::too_much - 64) return arena::too_much;
  return cached_bytes(type, heads, slots, d);
}

/// Where the keys and values of a text lie, in bytes from the start of its block.
struct cache_layout {
  std::array<std::size_t, max_layers> keys{};
  std::array<std::size_t, max_layers> values{};
};

namespace detail {

[[nodiscard]] constexpr cache_layout caches_laid_out(const text_spec& m, const session_options& options,
                                                     storage otherwise, arena& memory) {
  cache_layout at;
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[l];
    if (k.role == cache_role::reuser || !m.has(l)) continue;
    const std::size_t half = half_cache_bytes(k, cache_slots(k, options.context, options.batch),
                                              cache_type(k, options.cache, otherwise));
    at.keys[l] = memory.take(half, 1);
    at.values[l] = memory.take(half, 1);
  }
  return at;
}
[[nodiscard]] G4_INLINE cache_layout caches_laid_out_once(const text_spec& m, const session_options& options,
                                                          storage otherwise, arena& memory);

}  // namespace detail

/// Takes from `memory` what the caches of a text need. This and the plans below can be asked at compile time; what asks
/// at run time shares code that is compiled once.
[[nodiscard]] constexpr cache_layout layout_caches(const text_spec& m, const session_options& options,
                                                   storage otherwise, arena& memory) {
  if (std::is_constant_evaluated()) return detail::caches_laid_out(m, options, otherwise, memory);
  return detail::caches_laid_out_once(m, options, otherwise, memory);
}

/// The working memory of a text model: a stack's, and what is in front of it and behind it.
struct text_scratch {
  stack_scratch stack;
  std::size_t per_layer_room = 0;  ///< [L·P]           a row of the per-layer table
  std::size_t hidden = 0;          ///< [D]             final norm of the last token
  std::size_t logits = 0;          ///< [logit_rows, V]
  std::size_t best = 0;            ///< [1]             a chosen token
};

/// Rows of logits that are computed at once where all are wanted, unless somebody wants more: the head is read once for so many.
inline constexpr std::size_t usual_logits = 8;
/// The same of passes of at most `rows` rows.
[[nodiscard]] constexpr std::size_t logit_rows(std::size_t rows, std::size_t logits = usual_logits) {
  return std::min(rows, logits);
}

namespace detail {

[[nodiscard]] constexpr text_scratch text_laid_out(const text_spec& m, const kind_table& kinds, std::size_t rows,
                                                   std::size_t scalar_bytes, arena& memory, std::size_t logits) {
  const auto size = [](int n) { return static_cast<std::size_t>(n); };
  text_scratch at;
  at.stack = layout_stack(m, kinds, rows, scalar_bytes, memory);
  at.per_layer_room = memory.take(size(m.layers), size(m.per_layer->width), scalar_bytes);
  at.hidden = memory.take(size(m.width), scalar_bytes);
  at.logits = memory.take(logit_rows(rows, logits), size(m.vocab), scalar_bytes);
  at.best = memory.take(1, sizeof(token_id));
  return at;
}
[[nodiscard]] G4_INLINE text_scratch text_laid_out_once(const text_spec& m, const kind_table& kinds, std::size_t rows,
                                                        std::size_t scalar_bytes, arena& memory, std::size_t logits);

}  // namespace detail

/// Takes from `memory` what passes of at most `rows` rows need, `logits` of whose logits are computed at once.
[[nodiscard]] constexpr text_scratch layout_text(const text_spec& m, const kind_table& kinds, std::size_t rows,
                                                 std::size_t scalar_bytes, arena& memory,
                                                 std::size_t logits = usual_logits) {
  if (std::is_constant_evaluated()) return detail::text_laid_out(m, kinds, rows, scalar_bytes, memory, logits);
  return detail::text_laid_out_once(m, kinds, rows, scalar_bytes, memory, logits);
}

/// Bytes a session will use.
struct memory_plan {
  std::size_t cache = 0;
  std::size_t scratch = 0;
  /// Of the backend's own, which the sessions on it share. Known once there is a backend: its workers have their parts.
  std::size_t working = 0;
  [[nodiscard]] constexpr std::size_t total() const { return arena::sum(arena::sum(cache, scratch), working); }
  /// Whether the bytes could be counted at all.
  [[nodiscard]] constexpr bool counted() const { return total() < arena::too_much; }
};

/// The largest calls that passes of a text model make of a backend.
///
/// slots    of its longest cache
/// logits   as of `layout_text`
[[nodiscard]] G4_INLINE work_limits limits_of(const text_spec& m, std::size_t rows, std::size_t slots,
                                              std::size_t logits = usual_logits);

/// What a session takes, of what it was asked: no more rows at once than there is context.
[[nodiscard]] constexpr session_options fitting(session_options options) {
  options.batch = std::min(options.batch, options.context);
  return options;
}

namespace detail {

[[nodiscard]] G4_INLINE memory_plan planned_once(const text_spec& m, const kind_table& kinds,
                                                 const session_options& options, std::size_t scalar_bytes,
                                                 storage otherwise);

}  // namespace detail

/// `scalar_bytes` is the size of the backend's scalar, `otherwise` what it keeps keys and values as unless told. What the
/// backend works in comes on top: `session::plan` knows it.
[[nodiscard]] constexpr memory_plan plan_session(const text_spec& m, const kind_table& kinds,
                                                 const session_options& options, std::size_t scalar_bytes,
                                                 storage otherwise) {
  if (!std::is_constant_evaluated()) return detail::planned_once(m, kinds, options, scalar_bytes, otherwise);
  arena cache, scratch;
  (void)layout_caches(m, fitting(options), otherwise, cache);
  (void)layout_text(m, kinds, fitting(options).batch, scalar_bytes, scratch);
  return {cache.total(), scratch.total()};
}

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/model/text/plan.inl"  // IWYU pragma: keep
#endif
