/// The likeliest id.
#pragma once

#include <span>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/core/token_id.h"

namespace g4::sample {

/// argmax of `logits` [V]; of equals the lowest id. Fails on no logits, on a NaN, and when nothing is above −∞.
[[nodiscard]] G4_INLINE result<token_id> greedy(std::span<const float> logits);

}  // namespace g4::sample

#if !defined(G4_COMPILED)
#include "g4/sample/greedy.inl"  // IWYU pragma: keep
#endif
