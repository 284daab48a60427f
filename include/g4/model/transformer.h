/// A model as a type: policies folded into constants, and checked.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "g4/model/kinds.h"
#include "g4/policy/attention.h"
#include "g4/policy/drafter.h"
#include "g4/policy/embed.h"
#include "g4/policy/feed.h"
#include "g4/policy/logits.h"
#include "g4/policy/mask.h"
#include "g4/policy/norm.h"
#include "g4/policy/pattern.h"
#include "g4/policy/residual.h"
#include "g4/policy/shape.h"
#include "g4/policy/share_kv.h"
#include "g4/policy/slot.h"
#include "g4/rule/rules.h"
#include "g4/spec/keeps.h"
#include "g4/spec/text.h"

namespace g4 {

namespace detail {

template <class Slot, class... Policies>
inline constexpr int times_filled = (0 + ... + (std::same_as<typename Policies::slot, Slot> ? 1 : 0));

/// The policy that fills a slot.
template <class Slot, class First, class... Rest>
constexpr auto policy_for() {
  if constexpr (std::same_as<typename First::slot, Slot>) {
    return First{};
  } else {
    return policy_for<Slot, Rest...>();
  }
}

template <class... Policies>
constexpr bool slots_keep_their_rules() {
  ((void)rule::is_a_policy<Policy<Policies>>{}, ...);
  if constexpr ((Policy<Policies> && ...)) {
    using namespace slots;
    (void)rule::slot_is_filled_once<times_filled<embedding, Policies...>>{};
    (void)rule::slot_is_filled_once<times_filled<slots::norm, Policies...>>{};
    (void)rule::slot_is_filled_once<times_filled<slots::attention, Policies...>>{};
    (void)rule::slot_is_filled_once<times_filled<pattern, Policies...>>{};
    (void)rule::slot_is_filled_once<times_filled<feed_forward, Policies...>>{};
    ((void)rule::slot_is_not_repeated<times_filled<typename Policies::slot, Policies...>>{}, ...);
  }
  return true;
}

/// The constants of a list of policies, before they are checked.
template <shape Shape, auto... Policies>
struct folded {
  static constexpr text_spec spec = [] {
    text_spec m;
    Shape.describe(m);
    (Policies.describe(m), ...);
    settle(m);
    return m;
  }();
  static constexpr kind_table kinds = distinct_kinds(spec);
  static constexpr auto activation =
      policy_for<slots::feed_forward, std::remove_const_t<decltype(Policies)>...>().activation;

  static constexpr int layers = spec.layers;
  static constexpr int width = spec.width;
  static constexpr int vocab = spec.vocab;
};

/// The first place where a model breaks rule R, as numbers that a template takes.
struct breach {
  static constexpr int most = 5;
  int count = -1;  ///< −1: nowhere
  long long number[most]{};
};

template <class F, class R>
constexpr breach breach_of() {
  breach found;
  (void)each_rule(F::spec, [&](auto rule, int, auto... numbers) {
    if constexpr (std::same_as<decltype(rule), R>) {
      if (!rule.keeps(numbers...)) {
        found.count = 0;
        ((found.number[found.count++] = numbers), ...);
        return false;
      }
    }
    return rule.keeps(numbers...);
  });
  return found;
}

/// Stops compilation with R's sentence where F breaks it.
template <class F, class R, std::size_t... I>
constexpr void says_what_is_broken(std::index_sequence<I...>) {
  constexpr breach found = breach_of<F, R>();
  if constexpr (found.count >= 0) (void)typename R::template of<found.number[I]...>{};
}

template <class F>
constexpr bool keeps_every_rule() {
  if constexpr (!keeps_its_rules(F::spec)) {
    (void)each_rule(F::spec, [](auto rule, int, auto... numbers) {
      says_what_is_broken<F, decltype(rule)>(std::make_index_sequence<sizeof...(numbers)>{});
      return rule.keeps(numbers...);
    });
  }
  if constexpr (F::spec.pooled) (void)rule::embedder_heads_have_widths<F::spec.pooled->hidden, F::spec.pooled->out>{};
  return true;
}

template <int Layers>
constexpr bool depth_keeps_its_rule() {
  (void)rule::depth_is_bounded::of<Layers, max_layers>{};
  return true;
}

}  // namespace detail

/// A decoder (or encoder) stack defined by its policies, in the order data meets them.
///
///     struct my_model : g4::transformer<g4::shape{.layers = 4, .width = 64, .vocab = 256}, g4::embed::tied_scaled, …> {};
///
/// Everything that follows from the list is a constant of the type: `spec` (every number), `kinds` (the distinct
/// layers), and with them the checkpoint it expects (`model/schema.h`) and the memory it needs (`model/plan.h`).
/// Breaking a rule stops compilation with a sentence that starts with "g4:" (`rule/rules.h`).
template <shape Shape, auto... Policies>
struct transformer : detail::folded<Shape, Policies...> {
  static_assert(detail::depth_keeps_its_rule<Shape.layers>());  // first: a deeper model cannot even be folded
  static_assert(detail::slots_keep_their_rules<std::remove_const_t<decltype(Policies)>...>());
  static_assert(detail::keeps_every_rule<detail::folded<Shape, Policies...>>());
};

/// A type derived from `transformer<…>`. Naming one checks it against every rule.
template <class V>
concept Variant = requires {
  { V::spec } -> std::convertible_to<text_spec>;
  { V::kinds } -> std::convertible_to<kind_table>;
  V::activation;
};

}  // namespace g4
