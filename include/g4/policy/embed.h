/// How a token becomes a row, and whether the head reads the same table.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/text.h"

namespace g4::embed {

template <bool Tied>
struct scaled_t {
  using slot = slots::embedding;
  constexpr void describe(text_spec& m) const { m.tied_head = Tied; }
};

/// x = E[id]·√D, and logits = E·h with the same, unscaled table: every released model.
inline constexpr scaled_t<true> tied_scaled{};
/// x = E[id]·√D, and a head of its own.
inline constexpr scaled_t<false> untied_scaled{};

}  // namespace g4::embed
