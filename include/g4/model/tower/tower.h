/// A tower as a type: words folded into constants, and checked.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "g4/policy/conformer.h"
#include "g4/policy/encoder.h"
#include "g4/policy/flow.h"
#include "g4/policy/mobilenet.h"
#include "g4/policy/picture.h"
#include "g4/policy/sound.h"
#include "g4/policy/tower.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

namespace detail {

/// A word that can stand in a tower.
template <class Word>
concept Stage = requires(const Word& word, tower_spec& t) {
  word.describe(t);
};

template <auto Word, auto In>
concept Takes = requires { Word.out(In); };

/// What is given to each stage, and what the last one gives; it ends early where two stages do not meet.
template <auto In, auto... Words>
struct flows {
  static constexpr std::tuple passed{In};
  static constexpr int met = 0;
};
template <auto In, auto First, auto... Rest>
  requires Takes<First, In>
struct flows<In, First, Rest...> {
  using behind = flows<First.out(In), Rest...>;
  static constexpr auto passed = std::tuple_cat(std::tuple{In}, behind::passed);
  static constexpr int met = 1 + behind::met;
};

template <auto First, auto...>
inline constexpr bool begins_with_a_picture = Takes<First, flow::a_picture{}>;
template <auto First, auto...>
inline constexpr bool begins_with_a_sound = Takes<First, flow::a_sound{}>;

/// Whether anything at all can stand in front of a word: tells a wrong neighbour from a wrong beginning.
template <auto Word, auto In>
constexpr void stage_keeps_its_rules() {
  if constexpr (requires { Word.template keeps_its_rules<Word, In>(); }) Word.template keeps_its_rules<Word, In>();
}

/// How wide a row is; 0 where there are no rows yet, or they are the text's.
template <class Flow>
[[nodiscard]] constexpr int width_of(const Flow& in) {
  if constexpr (requires { in.width; }) {
    return in.width;
  } else {
    return 0;
  }
}

template <auto... Words>
struct folded_tower {
  static constexpr bool of_pictures = begins_with_a_picture<Words...>;
  using flow_of = std::conditional_t<of_pictures, flows<flow::a_picture{}, Words...>, flows<flow::a_sound{}, Words...>>;

  static constexpr tower_spec spec = [] {
    tower_spec t;
    (Words.describe(t), ...);
    return t;
  }();
  static constexpr int stages = sizeof...(Words);
  /// widths[i] is how wide a row is that stage i is given: 0 before there are rows.
  static constexpr auto widths = std::apply(
      [](const auto&... passed) { return std::array<int, sizeof...(passed)>{width_of(passed)...}; }, flow_of::passed);
  /// The first stage that is given rows: those before it are the host's (`media/`).
  static constexpr int first_on_rows = [] {
    int i = 0;
    while (i + 1 < static_cast<int>(widths.size()) && widths[static_cast<std::size_t>(i)] == 0) ++i;
    return i;
  }();
  static constexpr int input_width = widths[static_cast<std::size_t>(first_on_rows)];
};

template <class Flows, auto... Words, std::size_t... I>
constexpr void stages_keep_their_rules(std::index_sequence<I...>) {
  // A stage behind a broken joint has nothing to be measured by.
  constexpr std::tuple words{Words...};
  (
      [&] {
        if constexpr (static_cast<int>(I) < Flows::met) {
          stage_keeps_its_rules<std::get<I>(words), std::get<I>(Flows::passed)>();
        }
      }(),
      ...);
}

template <auto... Words>
constexpr bool tower_keeps_its_rules() {
  constexpr int count = sizeof...(Words);
  (void)rule::tower_is_short<count, static_cast<int>(tower_spec::most_stages)>{};
  ((void)rule::is_a_stage<Stage<std::remove_const_t<decltype(Words)>>>{}, ...);
  if constexpr (count > 0 && (Stage<std::remove_const_t<decltype(Words)>> && ...)) {
    constexpr bool begins = begins_with_a_picture<Words...> || begins_with_a_sound<Words...>;
    (void)rule::tower_begins_with_a_medium<begins>{};
    if constexpr (begins) {
      using flows = typename folded_tower<Words...>::flow_of;
      stages_keep_their_rules<flows, Words...>(std::make_index_sequence<count>{});
      (void)rule::neighbours_meet<flows::met - 1, flows::met == count>{};
      if constexpr (flows::met == count) {
        using last = std::remove_cvref_t<decltype(std::get<count>(flows::passed))>;
        (void)rule::tower_ends_in_the_text<std::same_as<last, flow::soft_rows>>{};
      }
    }
  }
  return true;
}

}  // namespace detail

/// What makes rows of a text out of pictures or sounds, defined by its stages in the order data meets them.
///
///     struct my_patches : g4::tower<g4::picture::any_aspect{.side = 48}, g4::patches{.side = 48}, …,
///                                   g4::into_text<g4::norm::unweighted>> {};
///
/// Nothing of a text appears in a tower: it ends in rows as wide as those of whatever text it is given to.
/// Two stages that do not meet stop compilation with a sentence that starts with "g4:" (`rule/tower_rules.h`).
template <auto... Words>
struct tower : detail::folded_tower<Words...> {
  static_assert(detail::tower_keeps_its_rules<Words...>());
};

/// A type derived from `tower<…>`. Naming one checks it against every rule.
template <class T>
concept Tower = requires {
  { T::spec } -> std::convertible_to<tower_spec>;
  { T::widths };
  { T::of_pictures } -> std::convertible_to<bool>;
};

/// The numbers of stage `I` of a tower, with their own type.
template <Tower T, int I>
inline constexpr auto stage_of = std::get<T::spec.stages[static_cast<std::size_t>(I)].index()>(
    T::spec.stages[static_cast<std::size_t>(I)]);

}  // namespace g4
