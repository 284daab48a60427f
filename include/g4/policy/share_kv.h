/// Layers that read the keys and values of earlier ones.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/stack.h"

namespace g4 {

/// So many layers at the end of the stack.
struct last {
  int layers = 0;
};

template <last Shared>
struct share_kv_t {
  using slot = slots::sharing;
  constexpr void describe(stack_spec& m) const { m.shared_layers = Shared.layers; }
};

/// The last layers have queries only; each reads the keys (normed and rotated) and values (normed) of the last layer of
/// its own reach that still makes them. By type they have no key or value weights.
template <last Shared>
inline constexpr share_kv_t<Shared> share_kv{};

}  // namespace g4
