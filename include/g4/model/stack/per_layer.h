/// A layer's branch of per-layer embeddings.
#pragma once

#include <cstddef>

#include "g4/model/stack/feed.h"
#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/model/weights.h"

namespace g4 {

/// What a layer's per-layer input adds to the residual.
///
///     y = post_norm(projection · (gelu_tanh(gate·x) ∘ p[:, layer]))
///
/// x, y   [T, D], may not overlap
/// Source: transformers 5.23.0, Gemma4TextDecoderLayer.
template <class S, int Kind, Backend B>
void per_layer_branch(pass<B>& p, int layer, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x,
                      rows<S::width, typename B::scalar> y) {
  constexpr int P = S::spec.per_layer->width;
  const auto gate = p.template scratch<P>(p.at.small);  // [T, P]
  linear(p.on, w.per_layer_gate, x, gate);
  for (std::size_t t = 0; t < p.rows; ++t) {
    apply_gate<S>(p.on, gate.row(t), p.template per_layer_row<S::spec.layers, P>(t, layer), P);
  }
  linear(p.on, w.per_layer_projection, gate, y);
}

}  // namespace g4
