/// One decoder layer.
#pragma once

#include <cstddef>

#include "g4/model/altup.h"
#include "g4/model/attend.h"
#include "g4/model/feed.h"
#include "g4/model/per_layer_input.h"

namespace g4 {

/// A transformer block, in place on the residual stream x.
///
///     x += post(attend(pre(x)))
///     x += post(feed(pre(x)))                              with experts: post(dense_post(feed) + experts_post(experts))
///     x += post(per_layer(x))                              models with per-layer embeddings
///     x *= stream_scale                                    Gemma 4's layer_scalar: the stream as a whole, not the branch
///
/// x   [T, D]
/// Source: transformers 5.23.0, Gemma3DecoderLayer, Gemma4TextDecoderLayer.
template <int Kind, Variant V, Backend B>
void decoder_block(pass<V, B>& p, int layer) {
  constexpr text_spec spec = V::spec;
  constexpr float eps = spec.norm_eps;
  const layer_weights<V, Kind>& w = layer_of<Kind>(p.w, layer);

  norm_rows(p.on, p.stream(), w.attention_norm, eps, p.normed());
  keys found = keys::to_write;
  if constexpr (V::kinds.kind[Kind].role == cache_role::owner) {
    if (p.narrows(layer)) {
      write_keys<Kind>(p, layer, p.normed());
      p.keep_last_row();
      found = keys::written;
    }
  }
  const auto x = p.stream();
  const auto normed = p.normed();
  const auto branch = p.branch();
  attend<Kind>(p, layer, normed, branch, found);
  add_normed_rows(p.on, x, branch, w.post_attention_norm, eps);

  norm_rows(p.on, x, w.feed_norm, eps, normed);
  feed_forward<Kind>(p, layer, normed, branch);
  if constexpr (spec.experts.has_value()) {
    p.see("moe.dense", layer, branch.data, p.tokens, V::width);
    norm_rows(p.on, branch, w.dense_post_norm, eps, branch);
    const auto routed = p.second();
    mixture_of_experts<Kind>(p, layer, x, routed);
    p.see("moe.experts", layer, routed.data, p.tokens, V::width);
    add_normed_rows(p.on, branch, routed, w.experts_post_norm, eps);
  } else {
    p.see("mlp.out", layer, branch.data, p.tokens, V::width);
  }
  add_normed_rows(p.on, x, branch, w.post_feed_norm, eps);

  if constexpr (spec.per_layer.has_value()) {
    per_layer_branch<Kind>(p, layer, x, branch);
    if (p.see.see != nullptr) {  // the stream takes the normed branch in one step, which leaves nothing to look at
      norm_rows(p.on, branch, w.post_per_layer_norm, eps, normed);
      p.see("ple.out", layer, normed.data, p.tokens, V::width);
    }
    add_normed_rows(p.on, x, branch, w.post_per_layer_norm, eps);
  }
  if constexpr (spec.layer_scalar) {
    const auto factor = static_cast<typename B::scalar>(w.stream_scale.data[0]);
    for (std::size_t i = 0; i < p.tokens * V::width; ++i) x.data[i] *= factor;
  }
  p.see("hidden", layer, x.data, p.tokens, V::width);
}

}  // namespace g4
