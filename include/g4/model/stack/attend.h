/// The attention half of a layer.
#pragma once

#include <cstddef>

#include "g4/backend/composed.h"
#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/model/stack/share.h"
#include "g4/model/weights.h"

namespace g4 {

/// The layer whose keys and values a layer reads: its own, or its producer's. A drafter's lie in its target, by its own.
template <class S>
[[nodiscard]] constexpr std::size_t cache_layer(int layer) {
  return static_cast<std::size_t>(keys_lie_elsewhere<S> ? layer : S::spec.producer[layer]);
}

/// What becomes of a layer's heads behind their projections: the queries `query` and, where `with_keys`, the keys and values
/// in p's rows, which go into the layer's cache.
///
///     k = rope(k_norm(W_k x)),  v = v_norm(W_v x)       with K=V: v = v_norm(W_k x), bias included, before norm and rotation
///     q = rope(q_norm(W_q x))
template <class S, int Kind, Backend B>
void turn_heads(pass<B>& p, int layer, const layer_weights<S, Kind>& w, typename B::scalar* query, bool with_keys) {
  constexpr layer_kind kind = S::kinds.kind[Kind];
  const auto turn = angles_of<S, Kind>(p);
  heads_call<typename B::scalar> call;
  call.head_size = kind.head_size;
  call.rows = p.rows;
  call.eps = S::spec.norm_eps;
  call.cos = turn.cos;
  call.sin = turn.sin;
  call.query = query;
  call.heads = kind.query_heads;
  if constexpr (S::spec.qk_norm) call.query_norm = w.query_norm.data;
  if constexpr (kind.role == cache_role::owner) {
    if (with_keys) {
      call.key = p.template in<typename B::scalar>(p.at.key);      // [T, K·d]
      call.value = p.template in<typename B::scalar>(p.at.value);  // [T, K·d]
      call.raw_value = kind.key_is_value ? call.key : call.value;
      call.key_heads = kind.key_value_heads;
      call.value_normed = S::spec.v_norm;
      if constexpr (S::spec.qk_norm) call.key_norm = w.key_norm.data;
      call.caches = p.caches;
      call.layer = cache_layer<S>(layer);
      call.begun = p.begun();
      call.texts = p.texts;
    }
  }
  if constexpr (requires { p.on.turn_heads(call); }) {
    p.on.turn_heads(call);
  } else {
    composed::turn_heads(p.on, call);
  }
  if (call.key != nullptr) {
    show_heads<S>(p, "attn.key", layer, call.key, call.key_heads * call.head_size);
    show_heads<S>(p, "attn.value", layer, call.value, call.key_heads * call.head_size);
  }
  if (query != nullptr) show_heads<S>(p, "attn.query", layer, query, call.heads * call.head_size);
}

/// Projects T tokens' keys and values; `also` is another product of x that joins the projections, so that x is read once.
///
/// x   [T, D]   the block's normed input
template <class S, int Kind, Backend B, class... Product>
void project_keys(pass<B>& p, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x,
                  const Product&... also) {
  using layer_type = layer_weights<S, Kind>;
  constexpr layer_kind kind = S::kinds.kind[Kind];
  const auto key = p.template scratch<layer_type::key_width>(p.at.key);      // [T, K·d]
  const auto value = p.template scratch<layer_type::key_width>(p.at.value);  // [T, K·d]
  if constexpr (kind.key_is_value) {
    linears(p.on, x, also..., product{w.key, key});
  } else {
    linears(p.on, x, also..., product{w.key, key}, product{w.value, value});
  }
  if constexpr (S::spec.attention_bias) add_bias(p.on, key, w.key_bias);
  if constexpr (S::spec.attention_bias && !kind.key_is_value) add_bias(p.on, value, w.value_bias);
}

/// Writes T tokens' keys and values to the layer's cache, and asks nothing.
///
/// x   [T, D]   the block's normed input
template <class S, int Kind, Backend B>
void write_keys(pass<B>& p, int layer, const layer_weights<S, Kind>& w, rows<S::width, typename B::scalar> x) {
  project_keys<S, Kind>(p, w, x);
  turn_heads<S, Kind>(p, layer, w, nullptr, true);
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
  bool with_keys = false;
  if constexpr (kind.role == cache_role::owner) {
    if (found == keys::to_write) {
      project_keys<S, Kind>(p, w, x, product{w.query, query});
      with_keys = true;
    }
  }
  if (!with_keys) linear(p.on, w.query, x, query);
  if constexpr (S::spec.attention_bias) add_bias(p.on, query, w.query_bias);
  turn_heads<S, Kind>(p, layer, w, query.data, with_keys);

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
  show_heads<S>(p, "attn.out", layer, mixed.data, heads * d);
  close_branch<S>(p, w.output, mixed, y);
  if constexpr (S::spec.attention_bias) add_bias(p.on, y, w.output_bias);
}

}  // namespace g4
