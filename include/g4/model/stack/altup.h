/// Gemma 3n's layer: alternating updates over several residual streams, with LAuReL beside attention.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include "g4/model/stack/attend.h"
#include "g4/model/stack/feed.h"
#include "g4/model/stack/per_layer.h"

namespace g4 {

/// The four (A) numbers per token that mix the streams.
///
///     m[t] = tanh(router · (router_norm(x[t]) / D))        1/D, not 1/√D
template <class S, int Kind, Backend B>
void altup_modalities(pass<B>& p, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x,
                      rows<S::spec.altup->streams, typename B::scalar> m) {
  const auto z = p.template scratch<S::width>(p.at.normed);
  norm_rows(p.on, x, w.altup_router_norm, S::spec.norm_eps, z);
  p.on.divide(z.data, p.rows * S::width, static_cast<typename B::scalar>(S::width));
  linear(p.on, w.altup_router, z, m);
  p.on.tanh(m.data, p.rows * S::spec.altup->streams);
}

/// Makes the other streams from the embedded tokens: h[j] = projection[j−1]·h[0], brought to h[0]'s magnitude.
///
/// projections   A − 1 matrices [D, D]
template <class S, Backend B, class Projections>
void begin_streams(pass<B>& p, const Projections& projections) {
  constexpr std::size_t D = S::width;
  auto* const x = p.template in<typename B::scalar>(p.at.stream);
  const std::size_t stride = p.rows * D;
  for (int j = 1; j < S::spec.altup->streams; ++j) {
    auto* const stream = x + j * stride;
    p.on.matmul(projections[j - 1], x, p.rows, stream);
    p.on.match_magnitude(x, p.rows, D, stream);
  }
}

/// Folds the streams into one: the mean of h[0] and the unprojected others, each brought to h[0]'s magnitude.
template <class S, Backend B, class Projections>
void end_streams(pass<B>& p, const Projections& projections) {
  using scalar = typename B::scalar;
  constexpr std::size_t D = S::width;
  constexpr int A = S::spec.altup->streams;
  const std::size_t stride = p.rows * D;
  scalar* const x = p.template in<scalar>(p.at.stream);
  scalar* const folded = p.template in<scalar>(p.at.predicted);
  scalar* const other = p.template in<scalar>(p.at.branch);
  p.on.copy(x, stride, folded);
  for (int j = 1; j < A; ++j) {
    p.on.matmul(projections[j - 1], x + j * stride, p.rows, other);
    p.on.match_magnitude(x, p.rows, D, other);
    p.on.add(other, stride, folded);
  }
  p.on.divide(folded, stride, static_cast<scalar>(A));
  p.on.copy(folded, stride, x);
}

/// A Gemma 3n layer, in place on the A streams h.
///
///     p = predict(h),  a = p[0],  n = pre(a)
///     x = (a + post(attend(n)) + n + laurel_norm(right·left·n)) / √2        LAuReL's own residual is the normed input
///     y = x + post(feed(pre(x)))
///     h = correct(p, y)
///     h[1…] += post_per_layer(projection·(gelu_tanh(gate·(h[0]·output_scale)) ∘ per_layer_input))
///
/// Source: transformers 5.23.0, Gemma3nTextDecoderLayer.
template <class S, int Kind, Backend B>
void altup_block(pass<B>& p, int layer, const layer_weights<S, Kind>& w) {
  using scalar = typename B::scalar;
  constexpr auto& spec = S::spec;
  constexpr float eps = spec.norm_eps;
  constexpr std::size_t D = spec.width;
  constexpr std::size_t A = spec.altup->streams;
  const std::size_t T = p.rows;
  scalar* const h = p.template in<scalar>(p.at.stream);             // [A, T, D]
  scalar* const predicted = p.template in<scalar>(p.at.predicted);  // [A, T, D]
  const rows<spec.width, scalar> stream{h, T};
  const rows<spec.width, scalar> active{predicted, T};
  const auto normed = p.template scratch<S::width>(p.at.normed);
  const auto branch = p.template scratch<S::width>(p.at.branch);
  const auto second = p.template scratch<S::width>(p.at.second);

  const auto modalities = p.template scratch<spec.altup->streams>(p.at.small);  // [T, A]
  scalar* const coefficients = modalities.data + T * A;                        // [T, A·A]
  altup_modalities<S, Kind>(p, w, stream, modalities);
  p.on.matmul(w.altup_predict, modalities.data, T, coefficients);
  p.on.altup_predict(h, coefficients, A, T, D, predicted);
  p.show("altup.predicted", layer, predicted, D, A);

  norm_rows(p.on, active, w.attention_norm, eps, normed);
  const auto low = p.template scratch<spec.laurel->rank>(p.at.small);  // [T, R]
  linear(p.on, w.laurel_left, normed, low);
  linear(p.on, w.laurel_right, low, second);
  norm_rows(p.on, second, w.laurel_norm, eps, second);
  p.on.add(normed.data, T * D, second.data);
  p.show("laurel.out", layer, second.data, D);

  attend<S, Kind>(p, layer, w, normed, branch);
  norm_rows(p.on, branch, w.post_attention_norm, eps, branch);
  constexpr auto half_root = static_cast<scalar>(1 / std::numbers::sqrt2);
  const rows<spec.width, scalar> x = second;
  p.on.add_three(active.data, branch.data, second.data, T * D, half_root, x.data);

  norm_rows(p.on, x, w.feed_norm, eps, normed);
  feed_forward<S, Kind>(p, w, normed, branch);
  p.show("mlp.out", layer, branch.data, D);
  add_normed_rows(p.on, x, branch, w.post_feed_norm, eps);

  altup_modalities<S, Kind>(p, w, x, modalities);
  p.on.matmul(w.altup_correct, modalities.data, T, coefficients);
  p.on.altup_correct(predicted, x.data, coefficients, A, 0, T, D, h);
  p.show("altup.corrected", layer, h, D, A);

  if constexpr (spec.altup->output_scale) {
    p.on.scale_columns(h, w.altup_output_scale.data, T, D, normed.data);
  } else {
    p.on.copy(h, T * D, normed.data);
  }
  per_layer_branch<S, Kind>(p, layer, w, normed, branch);
  norm_rows(p.on, branch, w.post_per_layer_norm, eps, branch);
  p.show("ple.out", layer, branch.data, D);
  for (std::size_t j = 1; j < A; ++j) p.on.add(branch.data, T * D, h + j * T * D);
  p.show("hidden", layer, h, D, A);
}

}  // namespace g4
