/// The word for a stack of layers in a tower: `encoder<layers{16}, norm::sandwich<plain_weight>, attention<…>, feed::…>`.
///
/// A layer is said in the words of a text's layers; what an encoder's alone has is added here.
#pragma once

#include <concepts>
#include <type_traits>

#include "g4/policy/attention.h"
#include "g4/policy/feed.h"
#include "g4/policy/flow.h"
#include "g4/policy/norm.h"
#include "g4/policy/pattern.h"
#include "g4/policy/tower.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

/// So many equal layers; `norm_eps` is the ε of all their norms.
struct layers {
  int count = 0;
  float norm_eps = 1e-6f;
  constexpr void describe(stage::encoder& e) const {
    e.layers = count;
    e.norm_eps = norm_eps;
  }
  constexpr void describe(stage::conformer& c) const { c.layers = count; }
};

/// Rotary embedding in two dimensions: pairs (i, i + d/4) of the first half of a head are turned by the patch's column,
/// those of the second half by its row, each by place · theta^(−4i/d).
struct rope_2d {
  float theta = 100.0f;
  constexpr void describe(stage::encoder& e) const { e.rope_theta = theta; }
};

/// What goes into a linear map, and what comes out, is kept within bounds that the checkpoint holds beside it.
inline constexpr struct clipped_linears_t {
  constexpr void describe(stage::encoder& e) const { e.clipped = true; }
  constexpr void describe(stage::conformer& c) const { c.clipped = true; }
} clipped_linears{};

namespace norm {

/// A layer norm before each half of a layer and none behind: x += half(pre(x)).
template <layer_t Norm>
struct before_t {
  constexpr void describe(stage::encoder& e) const {
    e.norms = encoder_norms::before;
    e.norm_eps = Norm.eps;
  }
};
template <layer_t Norm>
inline constexpr before_t<Norm> before{};

}  // namespace norm

namespace feed {

/// y = down · activation(up·x): `feed::plain<gelu_tanh, hidden{4304}>`
template <gelu_tanh_t Activation, hidden Width>
struct plain_t {
  constexpr void describe(stage::encoder& e) const {
    e.gated = false;
    e.hidden = Width.width;
  }
};
template <gelu_tanh_t Activation, hidden Width>
inline constexpr plain_t<Activation, Width> plain{};

}  // namespace feed

namespace detail {

/// A word of a layer, told to an encoder. Words that a text has too say what they mean to a stack or a kind of layer.
template <auto Word>
constexpr void tell(stage::encoder& e) {
  if constexpr (requires { Word.describe(e); }) {
    Word.describe(e);
  } else if constexpr (requires(layer_kind & k) { Word.describe(k); }) {
    layer_kind k;
    Word.describe(k);
    e.head_size = k.head_size;
  } else {
    stack_spec m;
    m.query_heads = e.query_heads;
    m.key_value_heads = e.key_value_heads;
    m.query_scale = e.query_scale;
    m.qk_norm = e.qk_norm;
    m.v_norm = e.v_norm;
    Word.describe(m);
    e.query_heads = m.query_heads;
    e.key_value_heads = m.key_value_heads;
    e.query_scale = m.query_scale;
    e.qk_norm = m.qk_norm;
    e.v_norm = m.v_norm;
  }
}

template <class Word>
struct encoder_part {
  static constexpr bool understood = requires(const Word& word, stage::encoder& e) { word.describe(e); };
  static constexpr void describe(const Word& word, stage::encoder& e) { word.describe(e); }
};
template <>
struct encoder_part<norm::sandwich_t<plain_weight>> {
  static constexpr bool understood = true;
  static constexpr void describe(norm::sandwich_t<plain_weight>, stage::encoder& e) {
    e.norms = encoder_norms::sandwich;
  }
};
/// What an encoder's attention can be told: the rest of a text's words would be dropped without a sound.
template <class Word, class... Known>
inline constexpr bool one_of_words = (std::same_as<std::remove_const_t<Word>, Known> || ...);
template <class Word>
inline constexpr bool attention_knows =
    one_of_words<Word, heads, head, qk_norm_t, v_norm_t, unscaled_t, scaled_by_root_of, rope_2d>;

template <auto... Parts>
struct encoder_part<attention_t<Parts...>> {
  static constexpr bool understood = (attention_knows<decltype(Parts)> && ...);
  static constexpr void describe(attention_t<Parts...>, stage::encoder& e) { (tell<Parts>(e), ...); }
};
template <hidden Width>
struct encoder_part<feed::gated_t<gelu_tanh, Width>> {
  static constexpr bool understood = true;
  static constexpr void describe(feed::gated_t<gelu_tanh, Width>, stage::encoder& e) {
    e.gated = true;
    e.hidden = Width.width;
  }
};

template <>
struct encoder_part<biased_t> {
  static constexpr bool understood = true;
  static constexpr void describe(biased_t, stage::encoder& e) { e.biased = true; }
};

template <auto Word>
using encoder_part_of = encoder_part<std::remove_const_t<decltype(Word)>>;

}  // namespace detail

template <auto... Parts>
struct encoder_t {
  static constexpr stage::encoder spec = [] {
    stage::encoder e;
    const auto add = [&e]<auto Part>() {
      if constexpr (detail::encoder_part_of<Part>::understood) detail::encoder_part_of<Part>::describe(Part, e);
    };
    (add.template operator()<Parts>(), ...);
    return e;
  }();
  constexpr void describe(tower_spec& t) const { t.then(spec); }
  [[nodiscard]] constexpr flow::grid out(flow::grid in) const { return in; }  // [P, width]

  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    (void)rule::is_a_part_of_an_encoder<(detail::encoder_part_of<Parts>::understood && ...)>{};
    (void)
        rule::encoder_has_its_sizes<spec.layers, spec.query_heads, spec.key_value_heads, spec.head_size, spec.hidden>{};
    if constexpr (spec.key_value_heads > 0) {
      (void)rule::encoder_heads_share_keys_evenly<spec.query_heads, spec.key_value_heads>{};
    }
    if constexpr (spec.rope_theta > 0) (void)rule::both_axes_turn_pairs<spec.head_size>{};
  }
};

/// A stack of equal layers in which every row sees every other.
///
///     x += post(attention(pre(x))),  x += post(feed(pre(x)))         `layers.count` times; no norm behind the last
///
/// With norm::before the halves have no `post`. `biased` says that every linear map adds a bias.
template <auto... Parts>
inline constexpr encoder_t<Parts...> encoder{};

}  // namespace g4
