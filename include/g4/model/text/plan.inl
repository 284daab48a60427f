#pragma once

#include <algorithm>
#include <cstddef>

#include "g4/model/text/plan.h"

namespace g4 {

G4_INLINE work_limits limits_of(const text_spec& m, std::size_t rows, std::size_t slots, std::size_t logits) {
  // Of a rank's share, what all ranks have of a row together.
  int columns = std::max({m.width, m.altup->streams, m.laurel->rank, m.per_layer->width, m.ranks * m.experts->hidden,
                          m.pooled->hidden, 2 * m.target->width});
  int head_size = 0;
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[l];
    columns = std::max({columns, m.ranks * k.hidden, m.ranks * k.query_heads * k.head_size});
    head_size = std::max(head_size, k.head_size);
  }
  work_limits most{rows, static_cast<std::size_t>(columns), 0, static_cast<std::size_t>(head_size), slots};
  if (m.ranks > 1) {
    const auto whole = [&m](int n) { return static_cast<std::size_t>(largest_share(n, m.ranks)) * m.ranks; };
    std::size_t row = std::max({most.columns, whole(m.width), whole(m.experts->chosen * m.experts->hidden * m.ranks)});
    if (m.divides_sums) row = std::max(row, static_cast<std::size_t>(m.ranks) * static_cast<std::size_t>(m.width));
    most.joined = std::max(arena::product(rows, row), arena::product(logit_rows(rows, logits), whole(m.vocab)));
  }
  return most;
}

namespace detail {

G4_INLINE cache_layout caches_laid_out_once(const text_spec& m, const session_options& options, storage otherwise,
                                            arena& memory) {
  return caches_laid_out(m, options, otherwise, memory);
}

G4_INLINE text_scratch text_laid_out_once(const text_spec& m, const kind_table& kinds, std::size_t rows,
                                          std::size_t scalar_bytes, arena& memory, std::size_t logits) {
  return text_laid_out(m, kinds, rows, scalar_bytes, memory, logits);
}

G4_INLINE memory_plan planned_once(const text_spec& m, const kind_table& kinds, const session_options& options,
                                   std::size_t scalar_bytes, storage otherwise) {
  arena cache, scratch;
  (void)caches_laid_out(m, fitting(options), otherwise, cache);
  (void)text_laid_out(m, kinds, fitting(options).batch, scalar_bytes, scratch, usual_logits);
  return {cache.total(), scratch.total()};
}

}  // namespace detail

}  // namespace g4
