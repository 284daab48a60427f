/// A small model that drafts for a large one, as a type built from its target's type.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "g4/model/text_of.h"
#include "g4/model/transformer.h"

namespace g4 {

namespace detail {

/// The layer of a target whose keys and values a drafter's layer reads: the last that makes its own of that reach.
/// -1 where there is none.
[[nodiscard]] constexpr int last_owner(const text_spec& target, reach sees) {
  for (int l = target.layers - 1; l >= 0; --l) {
    const layer_kind& k = target.layer[l];
    if (k.role == cache_role::owner && k.sees == sees) return l;
  }
  return -1;
}

/// The list as it is given, or with `drafts_for` the target where that is not said.
template <class Target, shape Shape, auto... Policies>
using with_target =
    std::conditional_t<times_filled<slots::drafter, std::remove_const_t<decltype(Policies)>...> == 0,
                       std::type_identity<transformer<Shape, Policies..., drafts_for{.width = text_of<Target>::width}>>,
                       std::type_identity<transformer<Shape, Policies...>>>;

template <class D, class Target, int Layer>
constexpr void drafter_layer_keeps_its_rules() {
  constexpr layer_kind own = D::spec.layer[Layer];
  constexpr int producer = last_owner(Target::spec, own.sees);
  constexpr layer_kind read = producer >= 0 ? Target::spec.layer[producer < 0 ? 0 : producer] : layer_kind{};
  (void)rule::drafter_reads_its_target<own.key_value_heads, read.key_value_heads, own.head_size, read.head_size>{};
  if constexpr (producer >= 0) {
    (void)rule::drafter_sees_what_its_target_keeps<own.keys.back, read.keys.back, own.rope == read.rope>{};
  }
}

template <class D, class Target, int... Layer>
constexpr bool drafter_keeps_its_rules(std::integer_sequence<int, Layer...>) {
  (void)rule::drafter_fits_its_target<D::spec.target->width, Target::width>{};
  (drafter_layer_keeps_its_rules<D, Target, Layer>(), ...);
  return true;
}

}  // namespace detail

/// A drafter for `Target`: a transformer whose layers have queries only and read the target's keys and values.
///
///     struct gemma4_e2b_assistant : drafter<gemma4_e2b, shape{.layers = 4, .width = 256, .vocab = 262'144}, …> {};
///
/// `producer(l)` is the target's layer that layer l reads: the last of its reach with its own (E2B: 13 and 14).
/// Source: transformers 5.23.0, Gemma4AssistantForCausalLM.
template <class Target, shape Shape, auto... Policies>
struct drafter : detail::with_target<Target, Shape, Policies...>::type {
  using stack = typename detail::with_target<Target, Shape, Policies...>::type;
  using target = text_of<Target>;
  static_assert(detail::drafter_keeps_its_rules<stack, target>(std::make_integer_sequence<int, stack::layers>{}));

  [[nodiscard]] static constexpr int producer(int layer) {
    return detail::last_owner(target::spec, stack::spec.layer[layer].sees);
  }
};

/// A type derived from `drafter<…>`.
template <class D>
concept Drafter = Variant<D> && Variant<typename D::target> && requires(int layer) {
  { D::producer(layer) } -> std::convertible_to<int>;
};

}  // namespace g4
