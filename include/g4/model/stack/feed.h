/// The feed-forward half of a layer: the dense gated layer, and the experts beside it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "g4/backend/composed.h"
#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/model/stack/share.h"
#include "g4/model/weights.h"
#include "g4/ops/gate.h"
#include "g4/ops/sparsify.h"

namespace g4 {

/// gate = activation(gate) · up, by the backend where it knows the activation.
template <class S, class B>
void apply_gate(B& on, typename B::scalar* gate, const typename B::scalar* up, std::size_t n) {
  if constexpr (std::is_same_v<std::remove_cvref_t<decltype(S::activation)>, gelu_tanh_t>) {
    on.gelu_gate(gate, up, n);
  } else {
    on.gate(S::activation, gate, up, n);
  }
}

/// y = down · (activation(gate·x) ∘ up·x)
///
/// x, y   [T, D]
/// Source: transformers 5.23.0, Gemma4TextMLP; with sparsity, Gemma3nTextMLP.
template <class S, int Kind, Backend B>
void feed_forward(pass<B>& p, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x,
                  rows<S::width, typename B::scalar> y) {
  constexpr layer_kind kind = S::kinds.kind[Kind];
  const auto gate = p.template scratch<kind.hidden>(p.at.gate);  // [T, F]
  const auto up = p.template scratch<kind.hidden>(p.at.up);      // [T, F]
  constexpr bool plain =
      kind.sparsity == 0 && std::is_same_v<std::remove_cvref_t<decltype(S::activation)>, gelu_tanh_t>;
  if constexpr (plain && requires { p.on.gated_product(w.gate, w.up, x.data, p.rows, gate.data, up.data); }) {
    p.on.gated_product(w.gate, w.up, x.data, p.rows, gate.data, up.data);
  } else {
    linears(p.on, x, product{w.gate, gate}, product{w.up, up});
    if constexpr (kind.sparsity > 0) {
      const auto z = static_cast<float>(ops::normal_quantile(static_cast<double>(kind.sparsity)));
      sparsify_gate<S>(p, gate, layer_weights<S, Kind>::whole_kind.hidden, z);
    }
    apply_gate<S>(p.on, gate.data, up.data, p.rows * w.gate.rows);
  }
  close_branch<S>(p, w.down, gate, y);
}

/// A mixture of experts over the raw residual r; the router norms by itself, the experts get their own normed input.
///
///     logits = W_router · (rms_norm(r) · router_scale / √D)
///     (expert, weight) = route(logits)                                          `ops/route.h`
///     y = Σ_j weight_j · down_j · (activation(gate_j·z) ∘ up_j·z),   z = experts_norm(r)
///
/// r   [T, D]   the residual stream before the block's feed-forward norms
/// y   [T, D]
/// Source: transformers 5.23.0, Gemma4TextRouter, Gemma4TextExperts.
template <class S, int Kind, Backend B>
void mixture_of_experts(pass<B>& p, int layer, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> r,
                        rows<S::width, typename B::scalar> y) {
  using scalar = typename B::scalar;
  constexpr auto& spec = S::spec;
  constexpr std::size_t width = spec.width;
  constexpr std::size_t experts = spec.experts->count;
  constexpr std::size_t k = spec.experts->chosen;
  const std::size_t T = p.rows;

  // Router. 1/√D is folded into the norm's result as the reference does, after the scale.
  const auto z = p.template scratch<S::width>(p.at.normed);
  p.on.rms_norm(r.data, w.router_scale.data, T, width, spec.norm_eps, z.data);
  p.on.scale(z.data, T * width, 1 / std::sqrt(static_cast<scalar>(width)));
  scalar* const logits = p.template in<scalar>(p.at.small);               // [T, E]
  scalar* const weight = logits + T * experts;                            // [T, k]
  std::int32_t* const choice = p.template in<std::int32_t>(p.at.choice);  // [T, k]
  p.on.matmul(w.router, z.data, T, logits);
  p.on.route(logits, T, experts, k, w.expert_scale.data, choice, weight);
  p.see(p.on, "router", layer, weight, T, k, 1, choice, k);

  norm_rows(p.on, r, w.experts_norm, spec.norm_eps, z);
  experts_call<scalar> call;
  call.experts = experts;
  call.chosen = k;
  call.hidden = spec.experts->hidden;
  call.width = width;
  call.rows = T;
  call.z = z.data;
  call.weight = weight;
  call.choice = choice;
  call.gathered = p.template in<scalar>(p.at.gathered);
  call.both = p.template in<scalar>(p.at.gate);
  call.gate = p.template in<scalar>(p.at.up);
  call.out = p.template in<scalar>(p.at.expert_out);
  call.y = y.data;
  const auto gate = [](auto& on, scalar* g, const scalar* up, std::size_t n) { apply_gate<S>(on, g, up, n); };
  if constexpr (spec.divides_sums) {
    p.on.sum_experts(w.experts_gate_up, w.experts_down, gate, call);
  } else if constexpr (shared_out<S>) {
    p.on.join_experts(w.experts_gate_up, w.experts_down, gate, call, whole_of<S>::spec.experts->hidden);
  } else if constexpr (requires { p.on.experts(w.experts_gate_up, w.experts_down, gate, call); }) {
    p.on.experts(w.experts_gate_up, w.experts_down, gate, call);
  } else {
    composed::experts(p.on, w.experts_gate_up, w.experts_down, gate, call);
  }
}

}  // namespace g4
