/// The attention half of a block.
#pragma once

#include <algorithm>
#include <cstddef>

#include "g4/model/linear.h"
#include "g4/model/pass.h"

namespace g4 {

/// Projects T tokens' keys and values, and writes them to the layer's cache.
///
///     k = rope(k_norm(W_k x)),  v = v_norm(W_v x)       with K=V: v = v_norm(W_k x)
///
/// x   [T, D]   the block's normed input
/// `also` is another product of x that joins the projections, so that x is read once.
template <int Kind, Variant V, Backend B, class... Product>
void write_keys(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> x, const Product&... also) {
  constexpr layer_kind kind = V::kinds.kind[Kind];
  constexpr auto key_heads = static_cast<std::size_t>(kind.key_value_heads);
  constexpr auto d = static_cast<std::size_t>(kind.head_size);
  constexpr int rope = pass<V, B>::rope_of(Kind);
  constexpr float eps = V::spec.norm_eps;
  using layer_type = layer_weights<V, Kind>;
  const layer_type& w = layer_of<Kind>(p.w, layer);
  const std::size_t T = p.tokens;

  const auto key = p.template scratch<layer_type::key_width>(p.at_.key);      // [T, K·d]
  const auto value = p.template scratch<layer_type::key_width>(p.at_.value);  // [T, K·d]
  if constexpr (kind.key_is_value) {
    linears(p.on, x, also..., product{w.key, key});
  } else {
    linears(p.on, x, also..., product{w.key, key}, product{w.value, value});
  }
  if constexpr (V::spec.attention_bias) add_bias(key, w.key_bias);
  if constexpr (V::spec.attention_bias && !kind.key_is_value) add_bias(value, w.value_bias);
  // With K=V the value is the raw projection, bias included, before the key norm and the rotation.
  const auto* const raw_value = kind.key_is_value ? key.data : value.data;
  if constexpr (V::spec.v_norm) {
    p.on.rms_norm(raw_value, nullptr, T * key_heads, d, eps, value.data);
  } else if constexpr (kind.key_is_value) {
    std::copy_n(raw_value, T * key_heads * d, value.data);
  }
  if constexpr (V::spec.qk_norm) p.on.rms_norm(key.data, w.key_norm.data, T * key_heads, d, eps, key.data);
  p.on.rope(key.data, T, key_heads, d, p.cosines(rope), p.sines(rope));
  p.on.store(p.cache_of(layer), key.data, value.data, T, p.at);
  p.see("attn.key", layer, key.data, T, key_heads * d);
  p.see("attn.value", layer, value.data, T, key_heads * d);
}

/// Whether a layer's keys of this pass are in the cache already.
enum class keys { to_write, written };

/// Attention of T tokens over the cache of this layer or of its producer.
///
///     q = rope(q_norm(W_q x))
///     k, v                                              owners write them first: `write_keys`
///     y = W_o · softmax(scale · q kᵀ) v                 over the keys each token may see
///
/// x   [T, D]   the block's normed input
/// y   [T, D]
/// Source: transformers 5.23.0, Gemma3Attention, Gemma4TextAttention.
template <int Kind, Variant V, Backend B>
void attend(pass<V, B>& p, int layer, rows<V::width, typename B::scalar> x, rows<V::width, typename B::scalar> y,
            keys found = keys::to_write) {
  using scalar = typename B::scalar;
  constexpr layer_kind kind = V::kinds.kind[Kind];
  constexpr auto heads = static_cast<std::size_t>(kind.query_heads);
  constexpr auto d = static_cast<std::size_t>(kind.head_size);
  constexpr int rope = pass<V, B>::rope_of(Kind);
  using layer_type = layer_weights<V, Kind>;
  const layer_type& w = layer_of<Kind>(p.w, layer);
  const std::size_t T = p.tokens;

  const auto query = p.template scratch<layer_type::query_width>(p.at_.query);  // [T, H·d]
  bool projected = false;
  if constexpr (kind.role == cache_role::owner) {
    if (found == keys::to_write) {
      write_keys<Kind>(p, layer, x, product{w.query, query});
      projected = true;
    }
  }
  if (!projected) linear(p.on, w.query, x, query);
  if constexpr (V::spec.attention_bias) add_bias(query, w.query_bias);
  if constexpr (V::spec.qk_norm) {
    p.on.rms_norm(query.data, w.query_norm.data, T * heads, d, V::spec.norm_eps, query.data);
  }
  p.on.rope(query.data, T, heads, d, p.cosines(rope), p.sines(rope));
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
  p.on.attend(p.cache_of(layer), call);
  p.see("attn.out", layer, mixed.data, T, heads * d);
  linear(p.on, w.output, mixed, y);
  if constexpr (V::spec.attention_bias) add_bias(y, w.output_bias);
}

}  // namespace g4
