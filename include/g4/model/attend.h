/// The attention half of a block.
#pragma once

#include <cstddef>

#include "g4/model/linear.h"
#include "g4/model/pass.h"

namespace g4 {

namespace detail {

/// y = x · wᵀ (+ bias where the model has biases)
template <class V, class B, class Matrix, class Bias, int In, int Out, class Scalar>
void project(B& on, const Matrix& w, const Bias& bias, rows<In, Scalar> x, rows<Out, Scalar> y) {
  if constexpr (V::spec.attention_bias) {
    linear(on, w, bias, x, y);
  } else {
    (void)bias;
    linear(on, w, x, y);
  }
}

}  // namespace detail

/// Attention of T tokens over the cache of this layer or of its producer.
///
///     q = rope(q_norm(W_q x))
///     k = rope(k_norm(W_k x)),  v = v_norm(W_v x)       owners only; with K=V: v = v_norm(W_k x)
///     y = W_o · softmax(scale · q kᵀ) v                 over the keys each token may see
///
/// x   [T, D]   the block's normed input
/// y   [T, D]
/// Source: transformers 5.23.0, Gemma3Attention, Gemma4TextAttention.
template <int Kind, Variant V, Backend B>
void attend(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> x, rows<V::width, typename B::scalar> y) {
  using scalar = typename B::scalar;
  constexpr layer_kind kind = V::kinds.kind[Kind];
  constexpr auto heads = static_cast<std::size_t>(kind.query_heads);
  constexpr auto key_heads = static_cast<std::size_t>(kind.key_value_heads);
  constexpr auto d = static_cast<std::size_t>(kind.head_size);
  constexpr int rope = pass<V, B>::ropes.of_kind[Kind];
  constexpr float eps = V::spec.norm_eps;
  using layer_type = layer_weights<V, Kind>;
  const layer_type& w = layer_of<Kind>(p.w, layer);
  const cache_view& cache = p.cache_of(layer);
  const std::size_t T = p.tokens;

  const auto query = p.template scratch<layer_type::query_width>(p.at_.query);  // [T, H·d]
  detail::project<V>(p.on, w.query, w.query_bias, x, query);
  if constexpr (V::spec.qk_norm) p.on.rms_norm(query.data, w.query_norm.data, T * heads, d, eps, query.data);
  p.on.rope(query.data, T, heads, d, p.cosines(rope), p.sines(rope));

  if constexpr (kind.role == cache_role::owner) {
    const auto key = p.template scratch<layer_type::key_width>(p.at_.key);      // [T, K·d]
    const auto value = p.template scratch<layer_type::key_width>(p.at_.value);  // [T, K·d]
    detail::project<V>(p.on, w.key, w.key_bias, x, key);
    if constexpr (kind.key_is_value) {
      // The raw projection, bias included, before the key norm and the rotation: keys and values still differ.
      for (std::size_t i = 0; i < T * key_heads * d; ++i) value.data[i] = key.data[i];
    } else {
      detail::project<V>(p.on, w.value, w.value_bias, x, value);
    }
    if constexpr (V::spec.qk_norm) p.on.rms_norm(key.data, w.key_norm.data, T * key_heads, d, eps, key.data);
    if constexpr (V::spec.v_norm) p.on.rms_norm(value.data, nullptr, T * key_heads, d, eps, value.data);
    p.on.rope(key.data, T, key_heads, d, p.cosines(rope), p.sines(rope));
    p.on.store(cache, key.data, value.data, T, p.at);
    p.see("attn.key", layer, key.data, T, key_heads * d);
    p.see("attn.value", layer, value.data, T, key_heads * d);
  }
  p.see("attn.query", layer, query.data, T, heads * d);

  const auto mixed = p.template scratch<layer_type::query_width>(p.at_.mixed);  // [T, H·d]
  attention_call<scalar> call;
  call.query = query.data;
  call.keys = kind.sees == reach::local ? p.local_keys : p.global_keys;
  call.out = mixed.data;
  call.tokens = T;
  call.heads = heads;
  call.scale = V::spec.query_scale;
  call.soft_cap = V::spec.score_cap;
  p.on.attend(cache, call);
  p.see("attn.out", layer, mixed.data, T, heads * d);
  detail::project<V>(p.on, w.output, w.output_bias, mixed, y);
}

}  // namespace g4
