/// What a text embedder makes of its last layer's rows.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/text.h"

namespace g4 {

/// The mean of the normed rows, through two matrices without bias, brought to length 1:
///
///     e = W₂ · (W₁ · mean_t(norm(x[t]))),   embedding = e / |e|         W₁ [hidden, D], W₂ [out, hidden]
///
/// Source: modules.json of google/embeddinggemma-300m. config.json does not say it.
struct pooled_embedding {
  using slot = slots::pooling;
  int hidden = 0;
  int out = 0;
  constexpr void describe(text_spec& m) const {
    m.pooled = pooled_spec{hidden, out};
  }
};

}  // namespace g4
