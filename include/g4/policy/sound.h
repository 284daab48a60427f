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

/// Log-mel features of the samples (`media/log_mel.h`); emphasised as Gemma 3n has them.
struct log_mel {
  int bins = 0;
  int window = 320;
  int step = 160;
  bool emphasised = false;
  constexpr void describe(tower_spec& t) const { t.then(stage::log_mel{bins, window, step, emphasised}); }
  [[nodiscard]] constexpr flow::sequence out(flow::samples) const { return {bins}; }  // [T, bins]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.bins, Self.window, Self.step>{};
  }
};

/// A quarter of the rows: two convolutions over time and bands, each normed over its channels and rectified. Cumulative:
/// they look ahead only, and each is normed over everything heard so far.
struct subsample {
  int first = 0;   ///< channels
  int second = 0;
  float eps = 1e-6f;
  bool cumulative = false;
  constexpr void describe(tower_spec& t) const { t.then(stage::subsample{first, second, eps, cumulative}); }
  [[nodiscard]] constexpr flow::sequence out(flow::sequence in) const { return {in.width / 4 * second}; }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.first, Self.second>{};
    (void)rule::bands_are_quartered<In.width>{};
  }
};

/// The first of every `of` rows: `every{4}` keeps a quarter.
struct every {
  int of = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::every{of}); }
  [[nodiscard]] constexpr flow::sequence out(flow::sequence in) const { return in; }  // [⌈T / of⌉, width]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.of>{};
  }
};

}  // namespace g4
