/// What a list of stages amounts to: a tower as a plain constant, in the order data meets it.
///
/// A tower's words are folded into a `tower_spec` at compile time; the vision_config or audio_config of a config.json
/// is read into one at run time. Comparing the two is how a file finds its type.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <variant>

#include "g4/spec/conformer.h"
#include "g4/spec/encoder.h"
#include "g4/spec/field.h"
#include "g4/spec/mobilenet.h"
#include "g4/spec/picture.h"
#include "g4/spec/sound.h"

namespace g4 {

namespace stage {

/// y = (x − mean) / √(variance + eps) · weight + bias, row by row.
struct layer_norm {
  float eps = 1e-5f;
  static constexpr std::string_view word = "norm::layer";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"eps", &layer_norm::eps});
  }
  friend constexpr bool operator==(const layer_norm&, const layer_norm&) = default;
};

/// y = W·x, plus a bias where there is one.
struct linear {
  int width = 0;
  bool biased = false;
  static constexpr std::string_view word = "embed::linear";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"width", &linear::width});
    visit(field{"biased", &linear::biased});
  }
  friend constexpr bool operator==(const linear&, const linear&) = default;
};

/// y = W·rms_norm(x), as wide as the text's rows; the norm has no weight, or scales by 1 + weight.
struct into_text {
  float eps = 1e-6f;
  bool weighted = false;
  static constexpr std::string_view word = "into_text";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"eps", &into_text::eps});
    visit(field{"weighted", &into_text::weighted});
  }
  friend constexpr bool operator==(const into_text&, const into_text&) = default;
};

/// y = rms_norm(W·rms_norm(x)·w), as wide as the text's rows. The same map makes rows of an embedding of the tower's own:
/// those of ids first … first + count of the vocabulary.
struct into_text_with_ids {
  float eps = 1e-6f;
  int first = 0;
  int count = 0;
  static constexpr std::string_view word = "into_text";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"eps", &into_text_with_ids::eps});
    visit(field{"first id", &into_text_with_ids::first});
    visit(field{"ids", &into_text_with_ids::count});
  }
  friend constexpr bool operator==(const into_text_with_ids&, const into_text_with_ids&) = default;
};

}  // namespace stage

/// A stage of any kind. A new one is a struct like those above, and a name in this list.
using stage_spec =
    std::variant<std::monostate, stage::any_aspect, stage::patches, stage::per_axis, stage::waveform, stage::frames,
                 stage::layer_norm, stage::linear, stage::into_text, stage::centred, stage::encoder, stage::mean_pooled,
                 stage::root_scaled, stage::standardised, stage::square, stage::learned, stage::log_mel,
                 stage::subsample, stage::conformer, stage::into_text_with_ids, stage::mobilenet, stage::every>;

/// A tower, complete.
struct tower_spec {
  static constexpr std::size_t most_stages = 16;

  std::size_t count = 0;
  std::array<stage_spec, most_stages> stages{};
  friend constexpr bool operator==(const tower_spec&, const tower_spec&) = default;

  /// Adds a stage behind the others. A list that is too long is refused where it is written (`model/tower/tower.h`).
  constexpr void then(const stage_spec& next) {
    if (count < most_stages) stages[count] = next;
    ++count;
  }
  /// The first stage of a kind, if there is one. By value: under UBSan g++ 12 takes no comparison of addresses for constant.
  template <class Stage>
  [[nodiscard]] constexpr maybe<Stage> find() const {
    for (std::size_t i = 0; i < count && i < most_stages; ++i) {
      if (std::holds_alternative<Stage>(stages[i])) return std::get<Stage>(stages[i]);
    }
    return {};
  }
};

}  // namespace g4
