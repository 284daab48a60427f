/// The numbers on the front of a model card.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/text.h"

namespace g4 {

/// Depth L, residual width D and vocabulary V; `norm_eps` is the ε of every norm.
struct shape {
  using slot = slots::shape;
  int layers = 0;
  int width = 0;
  int vocab = 0;
  float norm_eps = 1e-6f;

  constexpr void describe(text_spec& m) const {
    m.layers = layers;
    m.width = width;
    m.vocab = vocab;
    m.norm_eps = norm_eps;
  }
};

}  // namespace g4
