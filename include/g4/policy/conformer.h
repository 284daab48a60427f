/// The word for a stack of conformer layers: `conformer<layers{12}, relative_attention{.heads = 8}, clipped_linears>`.
#pragma once

#include <type_traits>

#include "g4/policy/encoder.h"
#include "g4/policy/flow.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

/// Every row sees `past` keys up to itself, and those less than `ahead` ahead of it; how far away a key is adds to its
/// score, and scores are soft-capped. `chunk` is how many rows the reference takes at a time, where that matters to the
/// distances, and 0 where it does not.
struct relative_attention {
  int heads = 0;
  int past = 12;
  int ahead = 0;
  int chunk = 12;
  float cap = 50.0f;
  bool scaled_keys = true;
  constexpr void describe(stage::conformer& c) const {
    c.heads = heads;
    c.past = past;
    c.ahead = ahead;
    c.chunk = chunk;
    c.cap = cap;
    c.scaled_keys = scaled_keys;
  }
};

/// A convolution over time, channel by channel, that looks back over `side` rows.
struct light_conv {
  int side = 5;
  float eps = 1e-6f;  ///< of its norms
  constexpr void describe(stage::conformer& c) const {
    c.side = side;
    c.conv_eps = eps;
  }
};

/// Feed-forwards `wider` times as wide as the rows, of which `residual` is added.
struct half_feed {
  int wider = 4;
  float residual = 0.5f;
  constexpr void describe(stage::conformer& c) const {
    c.wider = wider;
    c.residual = residual;
  }
};

/// Numbers between the parts of a layer are kept within ± `limit`.
struct limited {
  float limit = 1e10f;
  constexpr void describe(stage::conformer& c) const { c.limit = limit; }
};

template <auto... Parts>
struct conformer_t {
  template <class Part>
  static constexpr bool is_part = requires(const Part& part, stage::conformer& c) { part.describe(c); };
  static constexpr bool understood = (is_part<std::remove_const_t<decltype(Parts)>> && ...);
  static constexpr stage::conformer spec = [] {
    stage::conformer c;
    if constexpr (understood) (Parts.describe(c), ...);
    return c;
  }();
  constexpr void describe(tower_spec& t) const { t.then(spec); }
  [[nodiscard]] constexpr flow::sequence out(flow::sequence in) const { return in; }  // [T, width]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::is_a_part_of_a_conformer<understood>{};
    (void)rule::conformer_has_its_sizes<spec.layers, spec.heads, spec.past, spec.side>{};
    (void)rule::conformer_width_is_shared<In.width, spec.heads>{};
  }
};

/// A stack of equal layers:
///
///     x += residual · norm(feed(norm(x)))
///     x += norm(attention(norm(x)))
///     x += light_conv(norm(x))
///     x += residual · norm(feed(norm(x)))
///     x  = norm(x)
template <auto... Parts>
inline constexpr conformer_t<Parts...> conformer{};

}  // namespace g4
