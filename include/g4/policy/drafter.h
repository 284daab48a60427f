/// What makes a small model a drafter for a large one.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/text.h"

namespace g4 {

/// Every layer has queries only and reads keys and values of the target, whose residual is `width` wide
/// (`model/drafter.h` says it for a drafter that names its target).
struct drafts_for {
  using slot = slots::drafter;
  int width = 0;
  constexpr void describe(text_spec& m) const {
    m.target = target_spec{width};
    m.shared_layers = m.layers;
  }
};

/// The drafter's head scores clusters of tokens first and then only the tokens of the best clusters
/// (Gemma 4 E2B and E4B assistants).
struct ordered_embeddings {
  using slot = slots::logits;
  int clusters = 0;
  int chosen = 0;
  constexpr void describe(text_spec& m) const {
    m.clusters = clusters_spec{clusters, chosen};
  }
};

}  // namespace g4
