/// The feed-forward half of a block: a gated dense layer, optionally with a mixture of experts beside it.
#pragma once

#include "g4/ops/gate.h"
#include "g4/policy/slot.h"
#include "g4/spec/stack.h"

namespace g4 {

/// The activation of every released model; another is any constant with the same call operator. One that computes what
/// config.json calls by a name says so with a `kind`, and then runs files of that name; others match no file.
inline constexpr struct gelu_tanh_t {
  static constexpr activation_kind kind = activation_kind::gelu_tanh;
  template <class Scalar>
  [[nodiscard]] Scalar operator()(Scalar x) const {
    return ops::gelu_tanh(x);
  }
} gelu_tanh{};

/// Where the next per-layer entry of a feed-forward goes: runs of `hidden` and of `sparse` are laid in order.
struct feed_layout {
  int hidden_at = 0;
  int sparse_at = 0;
};

/// Width F of the gate and up projections, in the next `layers` layers (0: in all that are left). Several in a row
/// give a model whose layers differ, such as a MatFormer slice.
struct hidden {
  int width = 0;
  int layers = 0;
  constexpr void describe(stack_spec& m, feed_layout& at) const {
    const int end = layers == 0 ? m.layers : at.hidden_at + layers;
    for (; at.hidden_at < end && at.hidden_at < m.layers; ++at.hidden_at) m.layer[at.hidden_at].hidden = width;
  }
};

/// Gaussian top-k in the next `layers` layers: of the gate's F activations the share `target` is cut to zero.
struct sparse {
  float target = 0;
  int layers = 0;
  constexpr void describe(stack_spec& m, feed_layout& at) const {
    const int end = layers == 0 ? m.layers : at.sparse_at + layers;
    for (; at.sparse_at < end && at.sparse_at < m.layers; ++at.sparse_at) m.layer[at.sparse_at].sparsity = target;
  }
};

/// Layers that reuse keys and values have a feed-forward of twice the width (Gemma 4 E2B).
inline constexpr struct doubled_where_shared_t {
  constexpr void describe(stack_spec& m, feed_layout&) const { m.doubled_where_shared = true; }
} doubled_where_shared{};

struct count {
  int experts = 0;
};
struct chosen {
  int experts = 0;
};

namespace feed {

template <class First, class Second>
struct beside_t {
  using slot = slots::feed_forward;
  static constexpr auto activation = First::activation;
  constexpr void describe(stack_spec& m) const {
    First{}.describe(m);
    Second{}.describe(m);
  }
};

template <auto Activation, auto... Parts>
struct gated_t {
  using slot = slots::feed_forward;
  static constexpr auto activation = Activation;
  constexpr void describe(stack_spec& m) const {
    if constexpr (requires { Activation.kind; }) {
      m.activation = Activation.kind;
    } else {
      m.activation = activation_kind::own;
    }
    feed_layout at;
    (Parts.describe(m, at), ...);
  }
};

template <count Experts, chosen Chosen, hidden Hidden>
struct experts_t {
  constexpr void describe(stack_spec& m) const {
    m.experts = experts_spec{Experts.experts, Chosen.experts, Hidden.width};
  }
};

/// y = down · (activation(gate·x) ∘ up·x): `feed::gated<gelu_tanh, hidden{6144}>`
template <auto Activation, auto... Parts>
inline constexpr gated_t<Activation, Parts...> gated{};

/// A router picks a few of many small gated feed-forwards per token:
/// `feed::gated<…> + feed::experts<count{128}, chosen{8}, hidden{704}>`.
/// The block then has three different inputs: the dense layer's normed one, the router's raw residual, and the experts'
/// own normed one (`model/experts.h`).
template <count Experts, chosen Chosen, hidden Hidden>
inline constexpr experts_t<Experts, Chosen, Hidden> experts{};

template <auto Activation, auto... Parts, count Experts, chosen Chosen, hidden Hidden>
[[nodiscard]] constexpr auto operator+(gated_t<Activation, Parts...>, experts_t<Experts, Chosen, Hidden>) {
  return beside_t<gated_t<Activation, Parts...>, experts_t<Experts, Chosen, Hidden>>{};
}

}  // namespace feed
}  // namespace g4
