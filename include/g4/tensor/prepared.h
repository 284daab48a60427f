/// A weight in a backend's own layout.
#pragma once

#include <string_view>

#include "g4/tensor/matrix.h"

namespace g4 {

/// A layout of prepared weights. Its address is its identity, so one exists for each: an `inline constexpr` variable.
struct weight_layout {
  std::string_view name;
};

/// The part of a prepared weight that every backend can read: which layout it has. A backend derives its own from this,
/// and reads what is in a layout that it knows.
struct prepared_weight {
  const weight_layout& layout;

 protected:
  explicit prepared_weight(const weight_layout& of) : layout(of) {}
  ~prepared_weight() = default;
};

/// What was prepared for `w` as a `Mine`, which names its layout `Mine::own_layout`; null where nothing was, or it has
/// another layout.
template <class Mine>
[[nodiscard]] Mine* prepared_as(const weight_view& w) {
  if (w.prepared == nullptr || &w.prepared->layout != &Mine::own_layout) return nullptr;
  return static_cast<Mine*>(w.prepared);
}

}  // namespace g4
