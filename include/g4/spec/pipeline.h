/// What a model is that is cut into stages, ranges of layers that follow each other.
#pragma once

#include "g4/spec/text.h"

namespace g4 {

/// Layers [first, end).
struct layer_range {
  int first = 0;
  int end = 0;
  friend constexpr bool operator==(const layer_range&, const layer_range&) = default;
};

/// Whether a model can be cut before a layer: one that reads keys and values stays with the one that makes them.
[[nodiscard]] constexpr bool can_be_cut_before(const stack_spec& m, int cut) {
  if (cut <= 0 || cut >= m.layers) return false;
  for (int l = cut; l < m.layers; ++l) {
    if (m.producer[l] < cut) return false;
  }
  return true;
}

/// The last layer that a model can be cut before, and before any earlier one; 0 where it cannot be cut.
[[nodiscard]] constexpr int last_cut(const stack_spec& m) {
  int cut = m.layers - 1;
  while (cut > 0 && !can_be_cut_before(m, cut)) --cut;
  return cut;
}

/// The model as a stage has it: all of its numbers, and caches for a range of its layers alone.
[[nodiscard]] constexpr text_spec spec_of_a_stage(text_spec m, int stages, layer_range here) {
  m.stages = stages;
  m.layers_before = here.first;
  m.layers_behind = m.layers - here.end;
  return m;
}

}  // namespace g4
