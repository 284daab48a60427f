/// From tokens to the rows that enter the stack.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>

#include "g4/model/stack/altup.h"
#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/model/text/inlay.h"
#include "g4/model/weights.h"

namespace g4 {

/// Prepares every layer's per-layer input of T rows.
///
///     c = projection_norm(W·h0 / √D)          [T, L, P]   normed over P
///     t = table[id]·√P                        [T, L, P]   one row of the table per token, layer-major
///     p = (c + t) / √2
///
/// h0     the embedded tokens, inlays in place
/// room   [L·P]
/// Rows that are no plain tokens look up the padding id 0, as does an id outside the table (`pass_row::looked_up`).
/// Source: transformers 5.23.0, Gemma4TextModel.project_per_layer_inputs.
template <Variant V, Backend B>
void prepare_per_layer_inputs(pass<B>& p, const weights<V>& w, typename B::scalar* room) {
  using scalar = typename B::scalar;
  constexpr text_spec spec = V::spec;
  constexpr int all = spec.layers * spec.per_layer->width;
  const auto input = p.template scratch<all>(p.at.per_layer);  // [T, L·P]
  linear(p.on, w.per_layer_model_projection, p.template scratch<V::width>(p.at.stream), input);
  p.on.scale(input.data, p.rows * all, 1 / std::sqrt(static_cast<scalar>(spec.width)));
  p.on.rms_norm(input.data, w.per_layer_projection_norm.data, p.rows * spec.layers, spec.per_layer->width,
                spec.norm_eps, input.data);
  p.on.mix_embedded(w.per_layer_embed, p.template in<token_id>(p.at.looked_up), p.rows,
                    std::sqrt(static_cast<float>(spec.per_layer->width)),
                    static_cast<scalar>(1 / std::numbers::sqrt2), room, input.data);
  p.show("per_layer_inputs", -1, input.data, all);
}

/// x[t] = √D · table[id[t]], and an inlay's rows in their places.
///
/// inlays   their `first` counted from the pass's first row; parts beyond the pass have been cut off
/// room     [L·P], of models with per-layer embeddings
/// begins   whether the streams begin here: later stages of a pipeline have them from the one before, and want per-layer inputs alone
template <Variant V, Backend B>
void embed_rows(pass<B>& p, const weights<V>& w, std::span<const inlay<typename B::scalar>> inlays,
                typename B::scalar* room, bool begins = true) {
  if (!begins && !V::spec.per_layer.has_value()) return;
  const auto x = p.template scratch<V::width>(p.at.stream);
  p.on.embed(w.embed, p.template in<token_id>(p.at.ids), p.rows, std::sqrt(static_cast<float>(V::width)), x.data);
  for (const auto& one : inlays) {
    if (one.rows != nullptr) p.on.copy(one.rows, one.count * V::width, x.row(one.first));
  }
  if constexpr (V::spec.per_layer.has_value()) prepare_per_layer_inputs(p, w, room);
  if (!begins) return;
  if constexpr (V::spec.altup.has_value()) begin_streams<V>(p, w.altup_projections);
  p.show("embed", -1, x.data, V::width, V::spec.altup.has_value() ? V::spec.altup->streams : 1);
}

}  // namespace g4
