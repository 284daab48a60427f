/// What a sound goes through on its way into rows: the numbers of the stages that only sounds have.
#pragma once

#include <string_view>

#include "g4/spec/field.h"

namespace g4::stage {

/// Samples as they are, one channel, `rate` of them a second.
struct waveform {
  int rate = 0;
  static constexpr std::string_view word = "sound::waveform";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"rate", &waveform::rate});
  }
  friend constexpr bool operator==(const waveform&, const waveform&) = default;
};

/// Stretches of `samples` samples, each a row; the last is filled up with noughts.
struct frames {
  int samples = 0;
  static constexpr std::string_view word = "frames";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"samples", &frames::samples});
  }
  friend constexpr bool operator==(const frames&, const frames&) = default;
};

}  // namespace g4::stage
