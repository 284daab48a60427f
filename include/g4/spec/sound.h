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

/// Log-mel features: frames of `window` samples, `step` apart, in `bins` bands each (`media/log_mel.h`). Emphasised: each
/// sample less 0.97 of the one before it, no noughts before the first, a transform of twice the length, bands from 125 to
/// 7600 Hz that are at least 1e-5.
struct log_mel {
  int bins = 0;
  int window = 320;
  int step = 160;
  bool emphasised = false;
  static constexpr std::string_view word = "log_mel";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"bins", &log_mel::bins});
    visit(field{"window", &log_mel::window});
    visit(field{"step", &log_mel::step});
    visit(field{"emphasised", &log_mel::emphasised});
  }
  friend constexpr bool operator==(const log_mel&, const log_mel&) = default;
};

/// Two convolutions of side 3 over time and bands, two apart, to `first` and to `second` channels; each is normed and
/// rectified. A quarter of the rows comes out, each all channels of a quarter of the bands. Cumulative: a convolution looks
/// ahead in time instead of around itself, and rows are normed by all that was heard before them instead of place by place.
struct subsample {
  int first = 0;
  int second = 0;
  float eps = 1e-6f;
  bool cumulative = false;
  static constexpr std::string_view word = "subsample";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"first", &subsample::first});
    visit(field{"second", &subsample::second});
    visit(field{"eps", &subsample::eps});
    visit(field{"cumulative", &subsample::cumulative});
  }
  friend constexpr bool operator==(const subsample&, const subsample&) = default;
};

/// The first of every `of` rows.
struct every {
  int of = 0;
  static constexpr std::string_view word = "every";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"of", &every::of});
  }
  friend constexpr bool operator==(const every&, const every&) = default;
};

}  // namespace g4::stage
