/// Choosing experts for a token.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/ops/softmax.h"
#include "g4/ops/top_k.h"

namespace g4::ops {

/// Turns a token's router logits into its experts and their weights.
///
///     p = softmax(logits)                    over all experts
///     chosen = the k largest p, descending
///     weight = p[chosen] / Σ p[chosen] · expert_scale[chosen]     renormalised first: weights need not sum to one
///
/// logits         [experts], overwritten
/// expert_scale   [experts]
/// Source: transformers 5.23.0, Gemma4TextRouter.
template <class Scalar>
void route(Scalar* logits, std::size_t experts, std::size_t k, const float* expert_scale, std::int32_t* chosen,
           Scalar* weight) {
  softmax(logits, experts);
  top_k(logits, experts, k, chosen);
  Scalar sum = 0;
  for (std::size_t j = 0; j < k; ++j) sum += logits[chosen[j]];
  for (std::size_t j = 0; j < k; ++j) {
    weight[j] = logits[chosen[j]] / sum * static_cast<Scalar>(expert_scale[chosen[j]]);
  }
}

}  // namespace g4::ops
