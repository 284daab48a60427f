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

}  // namespace norm

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

template <auto Norm>
struct into_text_t {
  static constexpr bool weighted = std::same_as<std::remove_const_t<decltype(Norm)>, norm::one_plus_t>;
  static_assert(
      weighted || std::same_as<std::remove_const_t<decltype(Norm)>, norm::unweighted_t>,
      "g4: into_text begins with norm::unweighted, or with norm::one_plus. See the projector in the checkpoint.");
  constexpr void describe(tower_spec& t) const { t.then(stage::into_text{Norm.eps, weighted}); }
  [[nodiscard]] constexpr flow::soft_rows out(flow::grid) const { return {}; }
  [[nodiscard]] constexpr flow::soft_rows out(flow::sequence) const { return {}; }
};

/// y = W·norm(x), as wide as the rows of the text it is for: the end of every tower. Its rows stand in a prompt as they
/// are; they are not scaled as the table's are.
template <auto Norm>
inline constexpr into_text_t<Norm> into_text{};

}  // namespace g4
