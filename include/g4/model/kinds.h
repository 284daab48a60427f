/// The distinct layers of a model: code is made once for each, however deep the model is.
#pragma once

#include <array>
#include <cstdint>

#include "g4/spec/stack.h"

namespace g4 {

/// kind[k] is the k-th distinct layer; of[l] is the kind of layer l; nth[l] counts earlier layers of the same kind.
struct kind_table {
  int count = 0;
  std::array<layer_kind, max_layers> kind{};
  std::array<std::int16_t, max_layers> of{};
  std::array<std::int16_t, max_layers> nth{};
  std::array<std::int16_t, max_layers> layers{};  ///< how many layers there are of kind k
};

[[nodiscard]] constexpr kind_table distinct_kinds(const stack_spec& m) {
  kind_table table;
  for (int l = 0; l < m.layers; ++l) {
    int k = 0;
    while (k < table.count && table.kind[k] != m.layer[l]) ++k;
    if (k == table.count) table.kind[table.count++] = m.layer[l];
    table.of[l] = static_cast<std::int16_t>(k);
    table.nth[l] = table.layers[k]++;
  }
  return table;
}

}  // namespace g4
