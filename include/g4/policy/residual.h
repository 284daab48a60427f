/// What else feeds, scales or multiplies the residual stream.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/text.h"

namespace g4 {

/// Per-layer embeddings: every token has a second row of L·P numbers, P for each layer, gated into the residual after
/// the feed-forward. `vocab` 0 means the model's own.
///
///     p[t, l] = (rms_norm(model_projection·h0[t])[l]/√D … + table[id][l]·√P) / √2     (model/per_layer_input.h)
struct per_layer_embedding {
  using slot = slots::per_layer_embedding;
  int width = 0;
  int vocab = 0;
  constexpr void describe(text_spec& m) const {
    m.per_layer = per_layer_spec{width, vocab == 0 ? m.vocab : vocab};
  }
};

/// A learned number per layer multiplies the whole residual stream at the layer's end (Gemma 4).
inline constexpr struct layer_scalar_t {
  using slot = slots::layer_scalar;
  constexpr void describe(stack_spec& m) const { m.layer_scalar = true; }
} layer_scalar{};

/// Alternating updates (Gemma 3n): `streams` residual streams, stream 0 computed, the others predicted and corrected.
/// Without `output_scale` the per-layer branch reads stream 0 as it is.
struct altup {
  using slot = slots::altup;
  int streams = 0;
  bool output_scale = true;
  constexpr void describe(stack_spec& m) const {
    m.altup = altup_spec{streams, output_scale};
  }
};

/// Learned augmented residual (Gemma 3n): a rank-R branch beside attention, over the normed input.
struct laurel {
  using slot = slots::laurel;
  int rank = 0;
  constexpr void describe(stack_spec& m) const { m.laurel = laurel_spec{rank}; }
};

}  // namespace g4
