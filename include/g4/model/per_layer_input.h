/// Per-layer embeddings: a second embedding for every layer, gated into the residual at the layer's end.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

#include "g4/model/feed.h"
#include "g4/model/linear.h"
#include "g4/model/pass.h"

namespace g4 {

/// Prepares every layer's input for T tokens.
///
///     c = projection_norm(W·h0 / √D)          [T, L, P]   normed over P
///     t = table[id]·√P                        [T, L, P]   one row of the table per token, layer-major
///     p = (c + t) / √2
///
/// h0    the embedded tokens, soft rows in place
/// ids   what to look up: soft tokens look up the padding id 0, as does an id outside the table
/// Source: transformers 5.23.0, Gemma4TextModel.project_per_layer_inputs.
template <Variant V, Backend B>
void prepare_per_layer_inputs(pass<V, B>& p, const std::int32_t* ids, const std::uint8_t* soft) {
  using scalar = typename B::scalar;
  constexpr text_spec spec = V::spec;
  constexpr int all = spec.layers * spec.per_layer->width;
  const auto input = p.template scratch<all>(p.at_.per_layer);  // [T, L·P]
  linear(p.on, p.w.per_layer_model_projection, p.stream(), input);
  const scalar root = 1 / std::sqrt(static_cast<scalar>(spec.width));
  for (std::size_t i = 0; i < p.tokens * all; ++i) input.data[i] *= root;
  p.on.rms_norm(input.data, p.w.per_layer_projection_norm.data, p.tokens * static_cast<std::size_t>(spec.layers),
                static_cast<std::size_t>(spec.per_layer->width), spec.norm_eps, input.data);

  const float table_scale = std::sqrt(static_cast<float>(spec.per_layer->width));
  constexpr auto half_root = static_cast<scalar>(1 / std::numbers::sqrt2);
  scalar* const looked_up = p.memory + p.at_.per_layer_row;  // [L·P]
  for (std::size_t t = 0; t < p.tokens; ++t) {
    const bool plain = (soft == nullptr || soft[t] == 0) && ids[t] < spec.per_layer->vocab;
    p.on.embed(p.w.per_layer_embed, plain ? static_cast<std::size_t>(ids[t]) : 0, table_scale, looked_up);
    for (std::size_t i = 0; i < all; ++i) input(t, i) = (input(t, i) + looked_up[i]) * half_root;
  }
  p.see("per_layer_inputs", -1, input.data, p.tokens, static_cast<std::size_t>(all));
}

/// What a layer's per-layer input adds to the residual.
///
///     y = post_norm(projection · (gelu_tanh(gate·x) ∘ p[:, layer]))
///
/// x, y   [T, D], may not overlap
/// Source: transformers 5.23.0, Gemma4TextDecoderLayer.
template <int Kind, Variant V, Backend B>
void per_layer_branch(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> x,
                      rows<V::width, typename B::scalar> y) {
  constexpr auto P = static_cast<std::size_t>(V::spec.per_layer->width);
  const layer_weights<V, Kind>& w = layer_of<Kind>(p.w, layer);
  const auto gate = p.template scratch<V::spec.per_layer->width>(p.at_.small);  // [T, P]
  linear(p.on, w.per_layer_gate, x, gate);
  for (std::size_t t = 0; t < p.tokens; ++t) apply_gate<V>(p.on, gate.row(t), p.per_layer_row(t, layer), P);
  linear(p.on, w.per_layer_projection, gate, y);
}

}  // namespace g4
