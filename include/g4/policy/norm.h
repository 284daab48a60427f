/// How a norm's checkpoint weight scales, and where norms stand in a block.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/stack.h"

namespace g4 {

/// y = x̂ · w (Gemma 3n, Gemma 4).
inline constexpr struct plain_weight_t {
  static constexpr bool adds_one = false;
  [[nodiscard]] static constexpr float scale(float w) { return w; }
} plain_weight{};

/// y = x̂ · (1 + w) (Gemma 3). GGUF files of Gemma 3 hold 1 + w already: the loader knows.
inline constexpr struct one_plus_weight_t {
  static constexpr bool adds_one = true;
  [[nodiscard]] static constexpr float scale(float w) { return 1.0f + w; }
} one_plus_weight{};

namespace norm {

/// A norm before and a norm after each half of a block: x += post(half(pre(x))).
template <auto Weight>
struct sandwich_t {
  using slot = slots::norm;
  constexpr void describe(stack_spec& m) const { m.one_plus_weight = Weight.adds_one; }
};
template <auto Weight>
inline constexpr sandwich_t<Weight> sandwich{};

}  // namespace norm
}  // namespace g4
