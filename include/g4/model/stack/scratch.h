/// The working memory of a stack of layers, known before anything is taken.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "g4/model/kinds.h"
#include "g4/model/stack/arena.h"
#include "g4/model/stack/tables.h"
#include "g4/spec/stack.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// Where each activation lies, in bytes from the start of the block.
///
/// C is the most rows of a pass, D the width, A the residual streams (1 without AltUp).
struct stack_scratch {
  std::size_t stream = 0;      ///< [A, C, D]    the residual stream(s)
  std::size_t predicted = 0;   ///< [A, C, D]    AltUp's predictions
  std::size_t normed = 0;      ///< [C, D]       input of a branch
  std::size_t branch = 0;      ///< [C, D]       output of a branch
  std::size_t second = 0;      ///< [C, D]       output of a branch beside it (experts, LAuReL)
  std::size_t gathered = 0;    ///< [C, D]       rows of one expert
  std::size_t expert_out = 0;  ///< [C, D]
  std::size_t query = 0;       ///< [C, H·d]
  std::size_t key = 0;         ///< [C, K·d]
  std::size_t value = 0;       ///< [C, K·d]
  std::size_t mixed = 0;       ///< [C, H·d]     attention's output
  std::size_t gate = 0;        ///< [C, F]
  std::size_t up = 0;          ///< [C, F]
  std::size_t small = 0;       ///< [C, …]       router logits, AltUp coefficients, per-layer gate
  std::size_t per_layer = 0;   ///< [C, L·P]     every layer's input of its per-layer branch
  std::size_t choice = 0;      ///< [C, k]       the chosen experts
  std::size_t angles = 0;      ///< per rotary table: cos [C, d/2], sin [C, d/2]
  std::size_t keys = 0;        ///< [masks, C]   what each row may see
  std::size_t rows = 0;        ///< [C]          the rows of the pass
  std::size_t ids = 0;         ///< [C]
  std::size_t looked_up = 0;   ///< [C]
  std::size_t frequencies = 0; ///< per rotary table: [d/2], float64
};

/// Takes from `memory` what passes of at most `rows` rows need.
[[nodiscard]] constexpr stack_scratch layout_stack(const stack_spec& m, const kind_table& kinds, std::size_t rows,
                                                   std::size_t scalar_bytes, arena& memory) {
  std::size_t query = 0, key = 0, hidden = 0, half_heads = 0;
  const auto size = [](int n) { return static_cast<std::size_t>(n); };
  for (int k = 0; k < kinds.count; ++k) {
    const layer_kind& kind = kinds.kind[k];
    query = std::max(query, size(kind.query_heads) * size(kind.head_size));
    key = std::max(key, size(kind.key_value_heads) * size(kind.head_size));
    hidden = std::max(hidden, size(kind.hidden));
  }
  const rope_table ropes = distinct_ropes(kinds);
  for (int r = 0; r < ropes.count; ++r) half_heads += ropes.half(r);
  const std::size_t masks = size(distinct_masks(kinds, m.sees).count);

  const std::size_t streams = m.altup.has_value() ? size(m.altup->streams) : 1;
  const bool experts = m.experts.has_value();
  const std::size_t small = std::max({size(m.experts->count) + size(m.experts->chosen), streams * streams + 3 * streams,
                                      size(m.per_layer->width), size(m.laurel->rank)});
  const std::size_t width = size(m.width);
  const auto scalars = [&](bool wanted, std::size_t columns) {
    return memory.take(wanted ? rows : 0, columns, scalar_bytes);
  };
  stack_scratch at;
  at.stream = scalars(true, streams * width);
  at.predicted = scalars(streams > 1, streams * width);
  at.normed = scalars(true, width);
  at.branch = scalars(true, width);
  at.second = scalars(experts || m.laurel.has_value(), width);
  at.gathered = scalars(experts, width);
  at.expert_out = scalars(experts, width);
  at.query = scalars(true, query);
  at.key = scalars(true, key);
  at.value = scalars(true, key);
  at.mixed = scalars(true, query);
  at.gate = scalars(true, std::max(hidden, size(2 * m.experts->hidden)));
  at.up = scalars(true, std::max(hidden, size(m.experts->hidden)));
  at.small = scalars(true, small);
  at.per_layer = memory.take(rows, arena::product(size(m.layers), size(m.per_layer->width)), scalar_bytes);
  at.choice = memory.take(rows, size(m.experts->chosen), sizeof(std::int32_t));
  at.angles = scalars(true, 2 * half_heads);
  at.keys = memory.take(rows, masks, sizeof(key_range));
  at.rows = memory.take(rows, sizeof(pass_row));
  at.ids = memory.take(rows, sizeof(token_id));
  at.looked_up = memory.take(rows, sizeof(token_id));
  at.frequencies = memory.take(half_heads, sizeof(double));
  return at;
}

}  // namespace g4
