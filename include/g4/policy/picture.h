/// The words for what only pictures go through.
#pragma once

#include "g4/policy/flow.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

namespace picture {

/// Any shape: resized, up or down, to the largest size of nearly the same shape whose sides are multiples of `side`
/// pixels and that takes no more soft tokens than it may (`media/resize.h`).
struct any_aspect {
  int side = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::any_aspect{side}); }
  [[nodiscard]] constexpr flow::pixels out(flow::a_picture) const { return {side}; }  // [h, w, 3]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.side>{};
  }
};

/// Always `side` × `side` pixels, whatever shape it had: resized by triangles (`media/resize.h`).
struct square {
  int side = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::square{side}); }
  [[nodiscard]] constexpr flow::pixels out(flow::a_picture) const { return {side}; }  // [side, side, 3]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.side>{};
  }
};

}  // namespace picture

/// The picture cut into squares of `side` × `side` pixels, row by row; a pixel's three colours stand side by side and
/// lie in 0 … 1.
struct patches {
  int side = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::patches{side}); }
  [[nodiscard]] constexpr flow::grid out(flow::pixels in) const {  // [P, 3·side²]
    return {3 * side * side, side > 0 ? in.multiple / side : 0};
  }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.side>{};
    if constexpr (Self.side > 0) (void)rule::patches_fill_the_picture<In.multiple, Self.side>{};
  }
};

/// x ↦ 2·(x − ½): colours in 0 … 1 come to lie in −1 … 1.
inline constexpr struct centred_t {
  constexpr void describe(tower_spec& t) const { t.then(stage::centred{}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }
} centred{};

/// The mean of each square of `side` × `side` rows, by their places in the picture.
struct mean_pooled {
  int side = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::mean_pooled{side}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const {  // [P / side², width]
    return {in.width, side > 0 ? in.multiple / side : 0};
  }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.side>{};
    if constexpr (Self.side > 0) (void)rule::squares_fill_the_grid<In.multiple, Self.side>{};
  }
};

/// x ↦ x · √width
inline constexpr struct scaled_by_root_of_width_t {
  constexpr void describe(tower_spec& t) const { t.then(stage::root_scaled{}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }
} scaled_by_root_of_width{};

/// x ↦ (x − bias) · scale, number by number, both learned.
inline constexpr struct standardised_t {
  constexpr void describe(tower_spec& t) const { t.then(stage::standardised{}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }
} standardised{};

namespace positions {

/// x[p] += table[column of p, 0] + table[row of p, 1], for columns and rows below `places`.
struct per_axis {
  int places = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::per_axis{places}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.places>{};
  }
};

/// x[p] += table[p], for patches in the order of reading; `places` is how many a picture has.
struct learned {
  int places = 0;
  constexpr void describe(tower_spec& t) const { t.then(stage::learned{places}); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::sizes_are_positive<Self.places>{};
    (void)rule::places_are_those_of_the_square<In.multiple * In.multiple, Self.places>{};
  }
};

}  // namespace positions
}  // namespace g4
