/// Which keys a query sees beside those before it. Without one of these a model is causal.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/stack.h"

namespace g4 {

template <visibility Sees>
struct visibility_t {
  using slot = slots::visibility;
  constexpr void describe(stack_spec& m) const { m.sees = Sees; }
};

namespace image_mask {
/// Tokens of one image see each other in local layers; global layers stay causal (Gemma 4 12B, 26B-A4B, 31B).
inline constexpr visibility_t<visibility::images_on_local> bidirectional_on_local{};
/// Tokens of one image see each other in every layer (Gemma 3 with images).
inline constexpr visibility_t<visibility::images_everywhere> bidirectional{};
}  // namespace image_mask

namespace mask {
/// Every token sees every other within reach: an encoder, with `each_side` in its local layers.
inline constexpr visibility_t<visibility::everything> bidirectional{};
}  // namespace mask

}  // namespace g4
