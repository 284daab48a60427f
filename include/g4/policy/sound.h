/// The words for what only sounds go through.
#pragma once

#include "g4/policy/flow.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

namespace sound {

/// One channel of samples as they are, `rate` a second.
struct waveform {
  int rate = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::waveform{rate}); }
  [[nodiscard]] constexpr flow::samples out(flow::a_sound) const { return {rate}; }  // [n]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.rate>{};
  }
};

}  // namespace sound

/// The samples in stretches of `samples`, one a row; the last is filled up with noughts.
struct frames {
  int samples = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::frames{samples}); }
  [[nodiscard]] constexpr flow::sequence out(flow::samples) const { return {samples}; }  // [⌈n / samples⌉, samples]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.samples>{};
  }
};

}  // namespace g4
