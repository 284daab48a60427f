/// greedy.h, defined.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "g4/sample/greedy.h"

namespace g4::sample {

G4_INLINE result<token_id> greedy(std::span<const float> logits) {
  if (logits.empty()) return fail("sample: there are no logits");
  std::size_t best = 0;
  bool not_a_number = false;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    not_a_number |= std::isnan(logits[id]);
    if (logits[id] > logits[best]) best = id;
  }
  if (not_a_number) {
    for (std::size_t id = 0; id < logits.size(); ++id) {
      if (std::isnan(logits[id])) return fail("sample: the logit of id ", id, " is not a number");
    }
  }
  if (std::isinf(logits[best]) && logits[best] < 0) return fail("sample: every logit is minus infinity");
  return static_cast<token_id>(best);
}

}  // namespace g4::sample
