/// What happens to the logits.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/text.h"

namespace g4::logits {

/// logits = cap · tanh(logits / cap)
struct soft_cap {
  using slot = slots::logits;
  float cap = 0;
  constexpr void describe(text_spec& m) const { m.logit_cap = cap; }
};

/// Logits leave as the head made them.
inline constexpr struct uncapped_t {
  using slot = slots::logits;
  constexpr void describe(text_spec& m) const { m.logit_cap = 0; }
} uncapped{};

}  // namespace g4::logits
