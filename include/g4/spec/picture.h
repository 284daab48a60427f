/// What a picture goes through on its way into rows: the numbers of the stages that only pictures have.
///
/// A stage's numbers are a plain struct that names each of its fields once, in `each_field`: whoever compares, prints or
/// writes a stage walks that list (`spec/tower.h`).
#pragma once

#include <string_view>

#include "g4/spec/field.h"

namespace g4::stage {

/// A picture of nearly its own shape, both sides multiples of `side` pixels.
struct any_aspect {
  int side = 0;
  static constexpr std::string_view word = "picture::any_aspect";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"side", &any_aspect::side});
  }
  friend constexpr bool operator==(const any_aspect&, const any_aspect&) = default;
};

/// A picture of `side` × `side` pixels, whatever its shape was.
struct square {
  int side = 0;
  static constexpr std::string_view word = "picture::square";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"side", &square::side});
  }
  friend constexpr bool operator==(const square&, const square&) = default;
};

/// A learned row for each of `places` patches, which stand in the order of reading.
struct learned {
  int places = 0;
  static constexpr std::string_view word = "positions::learned";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"places", &learned::places});
  }
  friend constexpr bool operator==(const learned&, const learned&) = default;
};

/// Squares of `side` × `side` pixels, each a row of 3·side² numbers.
struct patches {
  int side = 0;
  static constexpr std::string_view word = "patches";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"side", &patches::side});
  }
  friend constexpr bool operator==(const patches&, const patches&) = default;
};

/// A learned row for each of `places` columns, and one for each of as many rows of patches.
struct per_axis {
  int places = 0;
  static constexpr std::string_view word = "positions::per_axis";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"places", &per_axis::places});
  }
  friend constexpr bool operator==(const per_axis&, const per_axis&) = default;
};

/// x ↦ 2·(x − ½): what lies in 0 … 1 then lies in −1 … 1.
struct centred {
  static constexpr std::string_view word = "centred";
  template <class Visit>
  static constexpr void each_field(Visit&&) {}
  friend constexpr bool operator==(const centred&, const centred&) = default;
};

/// The mean of each square of `side` × `side` rows.
struct mean_pooled {
  int side = 0;
  static constexpr std::string_view word = "mean_pooled";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"side", &mean_pooled::side});
  }
  friend constexpr bool operator==(const mean_pooled&, const mean_pooled&) = default;
};

/// x ↦ x · √width
struct root_scaled {
  static constexpr std::string_view word = "scaled_by_root_of_width";
  template <class Visit>
  static constexpr void each_field(Visit&&) {}
  friend constexpr bool operator==(const root_scaled&, const root_scaled&) = default;
};

/// x ↦ (x − bias) · scale, number by number, both learned.
struct standardised {
  static constexpr std::string_view word = "standardised";
  template <class Visit>
  static constexpr void each_field(Visit&&) {}
  friend constexpr bool operator==(const standardised&, const standardised&) = default;
};

}  // namespace g4::stage
