/// Gemma 3n's layer: alternating updates over several residual streams, with LAuReL beside attention.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include "g4/model/attend.h"
#include "g4/model/feed.h"
#include "g4/model/per_layer_input.h"
#include "g4/ops/altup.h"

namespace g4 {

/// The four (A) numbers per token that mix the streams.
///
///     m[t] = tanh(router · (router_norm(x[t]) / D))        1/D, not 1/√D
template <int Kind, Variant V, Backend B>
void altup_modalities(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> x,
                      rows<V::spec.altup->streams, typename B::scalar> m) {
  using scalar = typename B::scalar;
  const layer_weights<V, Kind>& w = layer_of<Kind>(p.w, layer);
  const auto z = p.normed();
  norm_rows(p.on, x, w.altup_router_norm, V::spec.norm_eps, z);
  for (std::size_t i = 0; i < p.tokens * V::width; ++i) z.data[i] /= static_cast<scalar>(V::width);
  linear(p.on, w.altup_router, z, m);
  for (std::size_t i = 0; i < p.tokens * V::spec.altup->streams; ++i) m.data[i] = std::tanh(m.data[i]);
}

/// Makes the other streams from the embedded tokens: h[j] = projection[j−1]·h[0], brought to h[0]'s magnitude.
template <Variant V, Backend B>
void begin_streams(pass<V, B>& p) {
  constexpr auto D = static_cast<std::size_t>(V::width);
  const std::size_t stride = p.tokens * D;
  for (int j = 1; j < V::spec.altup->streams; ++j) {
    auto* const stream = p.stream().data + static_cast<std::size_t>(j) * stride;
    p.on.matmul(p.w.altup_projections[static_cast<std::size_t>(j - 1)], p.stream().data, p.tokens, stream);
    ops::match_magnitude(p.stream().data, p.tokens, D, stream);
  }
}

/// Folds the streams into one: the mean of h[0] and the unprojected others, each brought to h[0]'s magnitude.
template <Variant V, Backend B>
void end_streams(pass<V, B>& p) {
  using scalar = typename B::scalar;
  constexpr auto D = static_cast<std::size_t>(V::width);
  constexpr int A = V::spec.altup->streams;
  const std::size_t stride = p.tokens * D;
  scalar* const x = p.stream().data;
  scalar* const folded = p.memory + p.at_.predicted;
  for (std::size_t i = 0; i < stride; ++i) folded[i] = x[i];
  for (int j = 1; j < A; ++j) {
    scalar* const other = p.branch().data;
    p.on.matmul(p.w.altup_unembed_projections[static_cast<std::size_t>(j - 1)],
                x + static_cast<std::size_t>(j) * stride, p.tokens, other);
    ops::match_magnitude(x, p.tokens, D, other);
    for (std::size_t i = 0; i < stride; ++i) folded[i] += other[i];
  }
  for (std::size_t i = 0; i < stride; ++i) x[i] = folded[i] / static_cast<scalar>(A);
}

/// A Gemma 3n block, in place on the A streams h.
///
///     p = predict(h),  a = p[0],  n = pre(a)
///     x = (a + post(attend(n)) + n + laurel_norm(right·left·n)) / √2        LAuReL's own residual is the normed input
///     y = x + post(feed(pre(x)))
///     h = correct(p, y)
///     h[1…] += post_per_layer(projection·(gelu_tanh(gate·(h[0]·output_scale)) ∘ per_layer_input))
///
/// Source: transformers 5.23.0, Gemma3nTextDecoderLayer.
template <int Kind, Variant V, Backend B>
void altup_block(pass<V, B>& p, int layer) {
  using scalar = typename B::scalar;
  constexpr text_spec spec = V::spec;
  constexpr float eps = spec.norm_eps;
  constexpr auto D = static_cast<std::size_t>(spec.width);
  constexpr auto A = static_cast<std::size_t>(spec.altup->streams);
  const layer_weights<V, Kind>& w = layer_of<Kind>(p.w, layer);
  const std::size_t T = p.tokens;
  scalar* const h = p.memory + p.at_.stream;             // [A, T, D]
  scalar* const predicted = p.memory + p.at_.predicted;  // [A, T, D]
  const rows<spec.width, scalar> active{predicted, T};
  const auto normed = p.normed();
  const auto branch = p.branch();
  const auto second = p.second();

  const rows<spec.altup->streams, scalar> modalities{p.memory + p.at_.small, T};
  scalar* const coefficients = modalities.data + T * A;  // [T, A·A]
  altup_modalities<Kind>(p, layer, p.stream(), modalities);
  p.on.matmul(w.altup_predict, modalities.data, T, coefficients);
  ops::altup_predict(h, coefficients, A, T, D, predicted);
  p.see("altup.predicted", layer, predicted, T, D, A);

  norm_rows(p.on, active, w.attention_norm, eps, normed);
  const auto low = p.template scratch<spec.laurel->rank>(p.at_.small);  // [T, R]
  linear(p.on, w.laurel_left, normed, low);
  linear(p.on, w.laurel_right, low, second);
  norm_rows(p.on, second, w.laurel_norm, eps, second);
  for (std::size_t i = 0; i < T * D; ++i) second.data[i] += normed.data[i];
  p.see("laurel.out", layer, second.data, T, D);

  attend<Kind>(p, layer, normed, branch);
  norm_rows(p.on, branch, w.post_attention_norm, eps, branch);
  constexpr auto half_root = static_cast<scalar>(1 / std::numbers::sqrt2);
  const rows<spec.width, scalar> x = second;
  for (std::size_t i = 0; i < T * D; ++i) x.data[i] = (active.data[i] + branch.data[i] + second.data[i]) * half_root;

  norm_rows(p.on, x, w.feed_norm, eps, normed);
  feed_forward<Kind>(p, layer, normed, branch);
  p.see("mlp.out", layer, branch.data, T, D);
  add_normed_rows(p.on, x, branch, w.post_feed_norm, eps);

  altup_modalities<Kind>(p, layer, x, modalities);
  p.on.matmul(w.altup_correct, modalities.data, T, coefficients);
  ops::altup_correct(predicted, x.data, coefficients, A, 0, T, D, h);
  p.see("altup.corrected", layer, h, T, D, A);

  for (std::size_t t = 0; t < T; ++t) {
    for (std::size_t i = 0; i < D; ++i) {
      normed(t, i) = h[t * D + i];
      if constexpr (spec.altup->output_scale) normed(t, i) *= static_cast<scalar>(w.altup_output_scale.data[i]);
    }
  }
  per_layer_branch<Kind>(p, layer, normed, branch);
  norm_rows(p.on, branch, w.post_per_layer_norm, eps, branch);
  p.see("ple.out", layer, branch.data, T, D);
  for (std::size_t j = 1; j < A; ++j) {
    for (std::size_t i = 0; i < T * D; ++i) h[j * T * D + i] += branch.data[i];
  }
  p.see("hidden", layer, h, T, D, A);
}

}  // namespace g4
