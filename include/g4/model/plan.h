/// The memory a session needs, known before anything is allocated.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "g4/model/kinds.h"
#include "g4/spec/text.h"
#include "g4/tensor/cache.h"
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
  /// may be −∞; a backend that keeps its head for that reads less of it.
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
  return std::min(context, static_cast<std::size_t>(k.keys.back) + 2 + batch);
}

[[nodiscard]] constexpr std::size_t cache_bytes(const layer_kind& k, std::size_t context, std::size_t batch,
                                                storage type) {
  if (k.role == cache_role::reuser) return 0;
  return 2 * cached_bytes(type, static_cast<std::size_t>(k.key_value_heads), cache_slots(k, context, batch),
                          static_cast<std::size_t>(k.head_size));
}

/// Distinct rotary tables of a model: most have two, one for local and one for global layers.
struct rope_table {
  int count = 0;
  std::array<rope_spec, max_layers> rope{};
  std::array<int, max_layers> head_size{};
  std::array<std::int16_t, max_layers> of_kind{};
};

[[nodiscard]] constexpr rope_table distinct_ropes(const kind_table& kinds) {
  rope_table table;
  for (int k = 0; k < kinds.count; ++k) {
    const layer_kind& kind = kinds.kind[k];
    int r = 0;
    while (r < table.count && !(table.rope[r] == kind.rope && table.head_size[r] == kind.head_size)) ++r;
    if (r == table.count) {
      table.rope[r] = kind.rope;
      table.head_size[r] = kind.head_size;
      ++table.count;
    }
    table.of_kind[k] = static_cast<std::int16_t>(r);
  }
  return table;
}

/// Where each activation lies in a session's working memory, in scalars from its start.
///
/// C is the batch, D the width, A the residual streams (1 without AltUp).
struct scratch_layout {
  std::size_t stream = 0;         ///< [A, C, D]    the residual stream(s)
  std::size_t predicted = 0;      ///< [A, C, D]    AltUp's predictions
  std::size_t normed = 0;         ///< [C, D]       input of a branch
  std::size_t branch = 0;         ///< [C, D]       output of a branch
  std::size_t second = 0;         ///< [C, D]       output of a branch beside it (experts, LAuReL)
  std::size_t gathered = 0;       ///< [C, D]       rows of one expert
  std::size_t expert_out = 0;     ///< [C, D]
  std::size_t query = 0;          ///< [C, H·d]
  std::size_t key = 0;            ///< [C, K·d]
  std::size_t value = 0;          ///< [C, K·d]
  std::size_t mixed = 0;          ///< [C, H·d]     attention's output
  std::size_t gate = 0;           ///< [C, F]
  std::size_t up = 0;             ///< [C, F]
  std::size_t per_layer = 0;      ///< [C, L·P]
  std::size_t per_layer_row = 0;  ///< [L·P]     one token's row of the per-layer table
  std::size_t small = 0;          ///< [C, …]       router logits, AltUp coefficients, per-layer gate
  std::size_t angles = 0;         ///< per rotary table: cos [C, d/2], sin [C, d/2]
  std::size_t logits = 0;         ///< [logit_rows, V]
  std::size_t hidden = 0;         ///< [D]          final norm of the last token
  std::size_t total = 0;
};

/// Rows of logits computed at once where all are wanted: the head is read once for so many tokens.
[[nodiscard]] constexpr std::size_t logit_rows(std::size_t batch) { return std::min<std::size_t>(batch, 8); }

[[nodiscard]] constexpr scratch_layout layout_scratch(const text_spec& m, const kind_table& kinds, std::size_t batch) {
  std::size_t query = 0, key = 0, hidden = 0, half_heads = 0;
  for (int k = 0; k < kinds.count; ++k) {
    const layer_kind& kind = kinds.kind[k];
    query = std::max(query, static_cast<std::size_t>(kind.query_heads) * static_cast<std::size_t>(kind.head_size));
    key = std::max(key, static_cast<std::size_t>(kind.key_value_heads) * static_cast<std::size_t>(kind.head_size));
    hidden = std::max(hidden, static_cast<std::size_t>(kind.hidden));
  }
  const rope_table ropes = distinct_ropes(kinds);
  for (int r = 0; r < ropes.count; ++r) half_heads += static_cast<std::size_t>(ropes.head_size[r]) / 2;

  const auto size = [](int n) { return static_cast<std::size_t>(n); };
  const std::size_t streams = m.altup.has_value() ? size(m.altup->streams) : 1;
  const std::size_t row = batch * size(m.width);
  const bool experts = m.experts.has_value();
  const std::size_t small = std::max({size(m.experts->count) + size(m.experts->chosen), streams * streams + 3 * streams,
                                      size(m.per_layer->width), size(m.laurel->rank)});
  scratch_layout at;
  const auto take = [&at](std::size_t elements) {
    constexpr std::size_t line = 16;  // arrays start on a 64-byte line of floats
    const std::size_t start = at.total;
    at.total += (elements + line - 1) / line * line;
    return start;
  };
  at.stream = take(streams * row);
  at.predicted = take(streams > 1 ? streams * row : 0);
  at.normed = take(row);
  at.branch = take(row);
  at.second = take(experts || m.laurel.has_value() ? row : 0);
  at.gathered = take(experts ? row : 0);
  at.expert_out = take(experts ? row : 0);
  at.query = take(batch * query);
  at.key = take(batch * key);
  at.value = take(batch * key);
  at.mixed = take(batch * query);
  at.gate = take(batch * std::max(hidden, size(2 * m.experts->hidden)));
  at.up = take(batch * std::max(hidden, size(m.experts->hidden)));
  at.per_layer = take(batch * size(m.layers) * size(m.per_layer->width));
  at.per_layer_row = take(size(m.layers) * size(m.per_layer->width));
  at.small = take(batch * small);
  at.angles = take(2 * batch * half_heads);
  at.logits = take(logit_rows(batch) * size(m.vocab));
  at.hidden = take(size(m.width));
  return at;
}

/// Bytes a session will use.
struct memory_plan {
  std::size_t cache = 0;
  std::size_t scratch = 0;
  [[nodiscard]] constexpr std::size_t total() const { return cache + scratch; }
};

/// `scalar_bytes` is the size of the backend's scalar, `otherwise` what it keeps keys and values as unless told.
[[nodiscard]] constexpr memory_plan plan_session(const text_spec& m, const kind_table& kinds,
                                                 const session_options& options, std::size_t scalar_bytes,
                                                 storage otherwise) {
  memory_plan plan;
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[l];
    plan.cache += cache_bytes(k, options.context, options.batch, cache_type(k, options.cache, otherwise));
  }
  plan.scratch =
      layout_scratch(m, kinds, options.batch).total * scalar_bytes +
      options.batch * (2 * sizeof(key_range) + static_cast<std::size_t>(m.experts->chosen) * sizeof(std::int32_t));
  return plan;
}

}  // namespace g4
