/// The words for what rows go through in a tower, whatever they were made of.
#pragma once

#include <concepts>
#include <type_traits>

#include "g4/policy/attention.h"
#include "g4/policy/flow.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

namespace norm {

/// y = (x − mean) / √(variance + eps) · weight + bias, row by row.
struct layer_t {
  float eps = 1e-5f;
  constexpr void describe(tower_spec& t) const { t.then(stage::layer_norm{eps}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }
  [[nodiscard]] constexpr flow::sequence out(flow::sequence in) const { return in; }
};
inline constexpr layer_t layer{};

/// y = x · (mean(x²) + eps)^(-½): no weight. Not a stage of its own: `into_text` says which norm it begins with.
struct unweighted_t {
  float eps = 1e-6f;
};
inline constexpr unweighted_t unweighted{};

/// y = x · (mean(x²) + eps)^(-½) · (1 + w): the norm of `into_text` in Gemma 3.
struct one_plus_t {
  float eps = 1e-6f;
};
inline constexpr one_plus_t one_plus{};

/// The norms of `into_text` in Gemma 3n: y = x · (mean(x²) + eps)^(-½) · w in front of the map, with one w for rows that the
/// tower made (soft) and one for those of its own ids (hard), and the same without w behind it.
struct soft_and_hard_t {
  float eps = 1e-6f;
};
inline constexpr soft_and_hard_t soft_and_hard{};

}  // namespace norm

/// Ids first … first + count of the vocabulary stand for rows of an embedding that the tower has of its own, and not for
/// those of the text's table.
struct own_ids {
  int first = 0;
  int count = 0;
};

/// How wide a row becomes.
struct width {
  int numbers = 0;
};

namespace embed {

template <width Out, auto... Parts>
struct linear_t {
  template <class Part>
  static constexpr bool is_bias = std::same_as<std::remove_const_t<Part>, biased_t>;
  static constexpr bool has_bias = (is_bias<decltype(Parts)> || ...);
  constexpr void describe(tower_spec& t) const { t.then(stage::linear{Out.numbers, has_bias}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return {Out.numbers, in.multiple}; }
  [[nodiscard]] constexpr flow::sequence out(flow::sequence) const { return {Out.numbers}; }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Out.numbers>{};
    (void)rule::only_a_bias_is_added<(is_bias<decltype(Parts)> && ...)>{};
  }
};

/// y = W·x, and a bias where it is said: `embed::linear<width{3840}, biased>`
template <width Out, auto... Parts>
inline constexpr linear_t<Out, Parts...> linear{};

}  // namespace embed

template <auto Norm, own_ids... Ids>
struct into_text_t {
  static_assert(sizeof...(Ids) == 0,
                "g4: only into_text<norm::soft_and_hard, own_ids{...}> has ids of its own. See vocab_offset in "
                "vision_config and audio_config.");
  static constexpr bool weighted = std::same_as<std::remove_const_t<decltype(Norm)>, norm::one_plus_t>;
  static_assert(
      weighted || std::same_as<std::remove_const_t<decltype(Norm)>, norm::unweighted_t>,
      "g4: into_text begins with norm::unweighted, or with norm::one_plus. See the projector in the checkpoint.");
  constexpr void describe(tower_spec& t) const { t.then(stage::into_text{Norm.eps, weighted}); }
  [[nodiscard]] constexpr flow::soft_rows out(flow::grid) const { return {}; }
  [[nodiscard]] constexpr flow::soft_rows out(flow::sequence) const { return {}; }
};

/// y = W·norm(x), as wide as the rows of the text it is for: the end of every tower. Its rows stand in a prompt as they
/// are; they are not scaled as the table's are. `into_text<norm::soft_and_hard, own_ids{…}>` norms once more behind the map,
/// and makes rows of ids too.
template <auto Norm, own_ids... Ids>
inline constexpr into_text_t<Norm, Ids...> into_text{};

template <norm::soft_and_hard_t Norm, own_ids Ids>
struct into_text_t<Norm, Ids> {
  constexpr void describe(tower_spec& t) const { t.then(stage::into_text_with_ids{Norm.eps, Ids.first, Ids.count}); }
  [[nodiscard]] constexpr flow::soft_rows out(flow::grid) const { return {}; }
  [[nodiscard]] constexpr flow::soft_rows out(flow::sequence) const { return {}; }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::own_ids_are_counted<Ids.first, Ids.count>{};
  }
};

}  // namespace g4
