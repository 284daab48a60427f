/// The feed-forward half of a block: the dense gated layer, and the experts beside it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "g4/model/linear.h"
#include "g4/model/pass.h"
#include "g4/ops/gate.h"
#include "g4/ops/route.h"
#include "g4/ops/sparsify.h"

namespace g4 {

/// gate = activation(gate) · up, by the backend where it knows the activation.
template <Variant V, Backend B>
void apply_gate(B& on, typename B::scalar* gate, const typename B::scalar* up, std::size_t n) {
  if constexpr (std::is_same_v<std::remove_cvref_t<decltype(V::activation)>, gelu_tanh_t>) {
    on.gelu_gate(gate, up, n);
  } else {
    ops::gate(V::activation, gate, up, n);
  }
}

/// y = down · (activation(gate·x) ∘ up·x)
///
/// x, y   [T, D]
/// Source: transformers 5.23.0, Gemma4TextMLP; with sparsity, Gemma3nTextMLP.
template <int Kind, Variant V, Backend B>
void feed_forward(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> x,
                  rows<V::width, typename B::scalar> y) {
  constexpr layer_kind kind = V::kinds.kind[Kind];
  const layer_weights<V, Kind>& w = layer_of<Kind>(p.w, layer);
  const auto gate = p.template scratch<kind.hidden>(p.at_.gate);  // [T, F]
  const auto up = p.template scratch<kind.hidden>(p.at_.up);      // [T, F]
  linears(p.on, x, product{w.gate, gate}, product{w.up, up});
  if constexpr (kind.sparsity > 0) {
    const auto z = static_cast<float>(ops::normal_quantile(static_cast<double>(kind.sparsity)));
    ops::sparsify(gate.data, p.tokens, static_cast<std::size_t>(kind.hidden), z);
  }
  apply_gate<V>(p.on, gate.data, up.data, p.tokens * static_cast<std::size_t>(kind.hidden));
  linear(p.on, w.down, gate, y);
}

/// A mixture of experts over the raw residual r; the router norms by itself, the experts get their own normed input.
///
///     logits = W_router · (rms_norm(r) · router_scale / √D)
///     (expert, weight) = route(logits)                                          `ops/route.h`
///     y = Σ_j weight_j · down_j · (activation(gate_j·z) ∘ up_j·z),   z = experts_norm(r)
///
/// r   [T, D]   the residual stream before the block's feed-forward norms
/// y   [T, D]
/// Tokens are gathered by expert, so that each expert's weights are read once however many tokens chose it.
/// Source: transformers 5.23.0, Gemma4TextRouter, Gemma4TextExperts.
template <int Kind, Variant V, Backend B>
void mixture_of_experts(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> r,
                        rows<V::width, typename B::scalar> y) {
  using scalar = typename B::scalar;
  constexpr text_spec spec = V::spec;
  constexpr auto width = static_cast<std::size_t>(spec.width);
  constexpr auto experts = static_cast<std::size_t>(spec.experts->count);
  constexpr auto k = static_cast<std::size_t>(spec.experts->chosen);
  constexpr auto hidden = static_cast<std::size_t>(spec.experts->hidden);
  const layer_weights<V, Kind>& w = layer_of<Kind>(p.w, layer);
  const std::size_t T = p.tokens;

  // Router. 1/√D is folded into the norm's result as the reference does, after the scale.
  const auto z = p.normed();
  p.on.rms_norm(r.data, w.router_scale.data, T, width, spec.norm_eps, z.data);
  const scalar root = 1 / std::sqrt(static_cast<scalar>(width));
  for (std::size_t i = 0; i < T * width; ++i) z.data[i] *= root;
  scalar* logits = p.memory + p.at_.small;        // [T, E]
  scalar* weight = logits + T * experts;          // [T, k]
  std::int32_t* const chosen = p.chosen_experts;  // [T, k]
  p.on.matmul(w.router, z.data, T, logits);
  for (std::size_t t = 0; t < T; ++t) {
    ops::route(logits + t * experts, experts, k, w.expert_scale.data, chosen + t * k, weight + t * k);
  }
  p.see("router", layer, weight, T, k, 1, chosen);

  norm_rows(p.on, r, w.experts_norm, spec.norm_eps, z);
  for (std::size_t i = 0; i < T * width; ++i) y.data[i] = 0;
  scalar* const gathered = p.memory + p.at_.gathered;  // [n, D]   n tokens that chose this expert
  scalar* const gate_up = p.memory + p.at_.gate;       // [n, 2I]  gate first, up after it
  scalar* const out = p.memory + p.at_.expert_out;     // [n, D]
  for (std::size_t e = 0; e < experts; ++e) {
    std::size_t n = 0;
    for (std::size_t slot = 0; slot < T * k; ++slot) {
      if (chosen[slot] != static_cast<std::int32_t>(e)) continue;
      for (std::size_t i = 0; i < width; ++i) gathered[n * width + i] = z(slot / k, i);
      ++n;
    }
    if (n == 0) continue;
    p.on.matmul(w.experts_gate_up[e], gathered, n, gate_up);
    scalar* const gate = p.memory + p.at_.up;  // [n, I]
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t i = 0; i < hidden; ++i) gate[j * hidden + i] = gate_up[j * 2 * hidden + i];
      apply_gate<V>(p.on, gate + j * hidden, gate_up + (j * 2 + 1) * hidden, hidden);
    }
    p.on.matmul(w.experts_down[e], gate, n, out);
    n = 0;
    for (std::size_t slot = 0; slot < T * k; ++slot) {
      if (chosen[slot] != static_cast<std::int32_t>(e)) continue;
      for (std::size_t i = 0; i < width; ++i) y(slot / k, i) += weight[slot] * out[n * width + i];
      ++n;
    }
  }
}

}  // namespace g4
