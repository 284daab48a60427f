/// What the kinds of layers of a stack share: rotary tables and masks, each distinct one once.
#pragma once

#include <array>
#include <cstdint>

#include "g4/model/kinds.h"
#include "g4/ops/begin.h"
#include "g4/spec/stack.h"

namespace g4 {

/// Distinct rotary tables of a model: most have two, one for local and one for global layers.
struct rope_table {
  int count = 0;
  std::array<rope_spec, max_layers> rope{};
  std::array<int, max_layers> head_size{};
  std::array<std::int16_t, max_layers> of_kind{};
  [[nodiscard]] constexpr std::size_t half(int r) const { return static_cast<std::size_t>(head_size[r]) / 2; }
};

[[nodiscard]] constexpr rope_table distinct_ropes(const kind_table& kinds) {
  rope_table table;
  for (int k = 0; k < kinds.count; ++k) {
    const layer_kind& kind = kinds.kind[k];
    int r = 0;
    while (r < table.count && !(table.rope[r] == kind.rope && table.head_size[r] == kind.head_size)) ++r;
    if (r == table.count) {
      table.rope[r] = kind.rope;
      table.head_size[r] = kind.head_size;
      ++table.count;
    }
    table.of_kind[k] = static_cast<std::int16_t>(r);
  }
  return table;
}

/// Distinct masks of a model: what each kind of layer lets a query see. Two windows are two masks.
struct mask_table {
  int count = 0;
  std::array<key_mask, max_layers> mask{};
  std::array<std::int16_t, max_layers> of_kind{};
};

/// further_back   keys more in front of a window: a drafter reads one key more than its target's layer does, and stands
///                behind the last of them
[[nodiscard]] constexpr mask_table distinct_masks(const kind_table& kinds, visibility sees, int further_back = 0) {
  mask_table table;
  for (int k = 0; k < kinds.count; ++k) {
    const layer_kind& kind = kinds.kind[k];
    const bool local = kind.sees == reach::local;
    const bool bounded = kind.keys.back != key_span::unbounded;
    const key_mask mask{bounded ? kind.keys.back + further_back : -1, kind.keys.ahead,
                        sees == visibility::images_everywhere || (local && sees == visibility::images_on_local)};
    int m = 0;
    while (m < table.count && !(table.mask[m] == mask)) ++m;
    if (m == table.count) table.mask[table.count++] = mask;
    table.of_kind[k] = static_cast<std::int16_t>(m);
  }
  return table;
}

}  // namespace g4
