/// The attention half of a layer.
#pragma once

#include <cstddef>

#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/model/weights.h"

namespace g4 {

/// The layer whose keys and values a layer reads: its own, or its producer's. A drafter's lie in its target, by its own.
template <class S>
[[nodiscard]] constexpr std::size_t cache_layer(int layer) {
  return static_cast<std::size_t>(keys_lie_elsewhere<S> ? layer : S::spec.producer[layer]);
}

/// Projects T tokens' keys and values, and writes them to the layer's cache.
///
///     k = rope(k_norm(W_k x)),  v = v_norm(W_v x)       with K=V: v = v_norm(W_k x)
///
/// x   [T, D]   the block's normed input
/// `also` is another product of x that joins the projections, so that x is read once.
template <class S, int Kind, Backend B, class... Product>
void write_keys(pass<B>& p, int layer, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x,
                const Product&... also) {
  using layer_type = layer_weights<S, Kind>;
  constexpr layer_kind kind = S::kinds.kind[Kind];
  constexpr std::size_t key_heads = kind.key_value_heads;
  constexpr std::size_t d = kind.head_size;
  constexpr float eps = S::spec.norm_eps;
  const std::size_t T = p.rows;

  const auto key = p.template scratch<layer_type::key_width>(p.at.key);      // [T, K·d]
  const auto value = p.template scratch<layer_type::key_width>(p.at.value);  // [T, K·d]
  if constexpr (kind.key_is_value) {
    linears(p.on, x, also..., product{w.key, key});
  } else {
    linears(p.on, x, also..., product{w.key, key}, product{w.value, value});
  }
  if constexpr (S::spec.attention_bias) add_bias(p.on, key, w.key_bias);
  if constexpr (S::spec.attention_bias && !kind.key_is_value) add_bias(p.on, value, w.value_bias);
  // With K=V the value is the raw projection, bias included, before the key norm and the rotation.
  const auto* const raw_value = kind.key_is_value ? key.data : value.data;
  if constexpr (S::spec.v_norm) {
    p.on.rms_norm(raw_value, nullptr, T * key_heads, d, eps, value.data);
  } else if constexpr (kind.key_is_value) {
    p.on.copy(raw_value, T * key_heads * d, value.data);
  }
  if constexpr (S::spec.qk_norm) p.on.rms_norm(key.data, w.key_norm.data, T * key_heads, d, eps, key.data);
  const auto turn = angles_of<S, Kind>(p);
  p.on.rope(key.data, T, key_heads, d, turn.cos, turn.sin);
  p.on.store(cached_rows<typename B::scalar>{p.caches, cache_layer<S>(layer), p.begun(), T, key.data, value.data,
                                             p.texts});
  p.show("attn.key", layer, key.data, key_heads * d);
  p.show("attn.value", layer, value.data, key_heads * d);
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
template <class S, int Kind, Backend B>
void attend(pass<B>& p, int layer, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x,
            rows<S::width, typename B::scalar> y, keys found = keys::to_write) {
  using layer_type = layer_weights<S, Kind>;
  constexpr layer_kind kind = S::kinds.kind[Kind];
  constexpr std::size_t heads = kind.query_heads;
  constexpr std::size_t d = kind.head_size;
  const std::size_t T = p.rows;

  const auto query = p.template scratch<layer_type::query_width>(p.at.query);  // [T, H·d]
  bool projected = false;
  if constexpr (kind.role == cache_role::owner) {
    if (found == keys::to_write) {
      write_keys<S, Kind>(p, layer, w, x, product{w.query, query});
      projected = true;
    }
  }
  if (!projected) linear(p.on, w.query, x, query);
  if constexpr (S::spec.attention_bias) add_bias(p.on, query, w.query_bias);
  if constexpr (S::spec.qk_norm) {
    p.on.rms_norm(query.data, w.query_norm.data, T * heads, d, S::spec.norm_eps, query.data);
  }
  const auto turn = angles_of<S, Kind>(p);
  p.on.rope(query.data, T, heads, d, turn.cos, turn.sin);
  p.show("attn.query", layer, query.data, heads * d);

  const auto mixed = p.template scratch<layer_type::query_width>(p.at.mixed);  // [T, H·d]
  row_attention<typename B::scalar> call{p.caches, cache_layer<S>(layer), p.begun(), {}, p.texts};
  call.of.query = query.data;
  call.of.keys = p.keys(tables_of<S>::masks.of_kind[Kind]);
  call.of.out = mixed.data;
  call.of.tokens = T;
  call.of.heads = heads;
  call.of.scale = S::spec.query_scale;
  call.of.soft_cap = S::spec.score_cap;
  p.on.attend(call);
  p.show("attn.out", layer, mixed.data, heads * d);
  linear(p.on, w.output, mixed, y);
  if constexpr (S::spec.attention_bias) add_bias(p.on, y, w.output_bias);
}

}  // namespace g4
