/// A released model as a type: its text, what it sees, what it hears, and how it converses.
///
/// The only header of `model/` that knows both a text and towers; neither knows the other.
#pragma once

#include <concepts>
#include <type_traits>

#include "g4/model/text_of.h"
#include "g4/model/tower/tower.h"
#include "g4/model/transformer.h"
#include "g4/policy/senses.h"
#include "g4/rule/tower_rules.h"

namespace g4 {

/// Stands where a model has no such sense.
struct no_sense {};

namespace detail {

enum class sense : int { none, sees, hears, turns };

template <class T>
inline constexpr sense sense_of = sense::none;
template <class T, soft_tokens Most, marked Marks>
inline constexpr sense sense_of<sees<T, Most, Marks>> = sense::sees;
template <class T, soft_tokens Most, marked Marks>
inline constexpr sense sense_of<hears<T, Most, Marks>> = sense::hears;
template <turns::gemma4_form Form>
inline constexpr sense sense_of<turns::gemma4<Form>> = sense::turns;
template <>
inline constexpr sense sense_of<turns::gemma3> = sense::turns;
template <>
inline constexpr sense sense_of<turns::gemma3n> = sense::turns;

template <sense Wanted, class... Parts>
struct first_of {
  using type = no_sense;
};
template <sense Wanted, class First, class... Rest>
struct first_of<Wanted, First, Rest...> {
  using type = typename std::conditional_t<sense_of<First> == Wanted, std::type_identity<First>,
                                           first_of<Wanted, Rest...>>::type;
};

template <sense Wanted, class... Parts>
inline constexpr int times_given = (0 + ... + (sense_of<Parts> == Wanted ? 1 : 0));

template <class Part>
constexpr void soft_tokens_keep_their_rules() {
  constexpr marked m = Part::marks;
  (void)rule::marks_are_written<!m.before.view().empty() && !m.each.view().empty() && !m.behind.view().empty()>{};
  (void)rule::soft_tokens_are_bounded<Part::budget.most>{};
}

/// The row that a sound is filled up with is one of its tower's own.
template <class Part, int Vocab>
constexpr void free_places_keep_their_rules() {
  constexpr auto end = Part::tower::spec.template find<stage::into_text_with_ids>();
  constexpr auto own = end.has_value() ? *end : stage::into_text_with_ids{};
  (void)rule::free_places_have_a_row<Part::budget.filled_up, own.first, own.count, Vocab>{};
}

template <class Part, int Vocab>
constexpr void sense_keeps_its_rules() {
  if constexpr (sense_of<Part> == sense::sees) {
    using tower = typename Part::tower;
    static_assert(Tower<tower>);
    (void)rule::sees_pictures<tower::of_pictures>{};
    soft_tokens_keep_their_rules<Part>();
    constexpr auto places = tower::spec.template find<stage::per_axis>();
    constexpr auto cut = tower::spec.template find<stage::patches>();
    constexpr auto shape = tower::spec.template find<stage::any_aspect>();
    if constexpr (places.has_value() && cut.has_value() && shape.has_value() && cut->side > 0) {
      (void)rule::positions_reach_every_patch<Part::budget.most*(shape->side / cut->side), places->places>{};
    }
  } else if constexpr (sense_of<Part> == sense::hears) {
    using tower = typename Part::tower;
    static_assert(Tower<tower>);
    (void)rule::hears_sounds<!tower::of_pictures>{};
    soft_tokens_keep_their_rules<Part>();
    free_places_keep_their_rules<Part, Vocab>();
  }
}

template <class Text, class... Parts>
constexpr bool multimodal_keeps_its_rules() {
  (void)rule::text_comes_first<Variant<Text>>{};
  ((void)rule::is_a_sense<sense_of<Parts> != sense::none>{}, ...);
  if constexpr (((sense_of<Parts> != sense::none) && ...)) {
    (void)rule::senses_are_given_once<times_given<sense::sees, Parts...>, times_given<sense::hears, Parts...>,
                                      times_given<sense::turns, Parts...>>{};
  }
  if constexpr (Variant<Text>) (sense_keeps_its_rules<Parts, Text::spec.vocab>(), ...);
  return true;
}

}  // namespace detail

/// A released model, whole:
///
///     struct gemma4_12b : multimodal<gemma4_12b_text, sees<…>, hears<…>, turns::gemma4<>> {};
///
/// `gemma4_12b::text` is its text alone, a variant like any other. A sense that is not in the list is one that the
/// model does not have: asking for it does not compile.
template <class Text, class... Parts>
struct multimodal {
  static_assert(detail::multimodal_keeps_its_rules<Text, Parts...>());
  using text = Text;
  using seeing = typename detail::first_of<detail::sense::sees, Parts...>::type;
  using hearing = typename detail::first_of<detail::sense::hears, Parts...>::type;
  using conversing = typename detail::first_of<detail::sense::turns, Parts...>::type;
  static constexpr bool can_see = !std::same_as<seeing, no_sense>;
  static constexpr bool can_hear = !std::same_as<hearing, no_sense>;
};

/// A type derived from `multimodal<…>`. Naming one checks it against every rule.
template <class M>
concept Multimodal = requires {
  typename M::text;
  typename M::seeing;
  typename M::hearing;
  typename M::conversing;
};

}  // namespace g4
