/// The weights behind the pooled rows of a text embedder.
#pragma once

#include <memory>
#include <vector>

#include "g4/model/schema.h"
#include "g4/model/weights.h"
#include "g4/tensor/matrix.h"

namespace g4 {

/// The dense heads of a variant with `pooled_embedding`: a module of its own, in files of its own.
template <Variant V>
struct pooled_heads {};

template <Variant V>
struct weights<pooled_heads<V>> {
  static constexpr auto pooled = V::spec.pooled;
  static_assert(pooled.has_value(), "g4: only a variant with pooled_embedding{.hidden, .out} has dense heads.");

  matrix<pooled->hidden, V::spec.width> first;
  matrix<pooled->out, pooled->hidden> second;
  std::vector<std::shared_ptr<const void>> keep;  ///< files and buffers that the views point into
};

template <Variant V, class Visit>
void each_weight(weights<pooled_heads<V>>& w, Visit&& visit) {
  each_head_part(V::spec, [&](const tensor_entry& t, auto member) { visit(t, member(w)); });
}

}  // namespace g4
