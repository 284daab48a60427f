/// One layer.
#pragma once

#include <cstddef>

#include "g4/model/stack/altup.h"
#include "g4/model/stack/attend.h"
#include "g4/model/stack/feed.h"
#include "g4/model/stack/per_layer.h"

namespace g4 {

/// A transformer layer, in place on the residual stream x.
///
///     x += post(attend(pre(x)))
///     x += post(feed(pre(x)))                              with experts: post(dense_post(feed) + experts_post(experts))
///     x += post(per_layer(x))                              models with per-layer embeddings
///     x *= stream_scale                                    Gemma 4's layer_scalar: the stream as a whole, not the branch
///
/// x   [T, D]
/// Source: transformers 5.23.0, Gemma3DecoderLayer, Gemma4TextDecoderLayer.
template <class S, int Kind, Backend B>
void decoder_block(pass<B>& p, int layer, const layer_weights<S, Kind>& w) {
  constexpr auto& spec = S::spec;
  constexpr float eps = spec.norm_eps;

  norm_rows(p.on, p.template scratch<S::width>(p.at.stream), w.attention_norm, eps,
            p.template scratch<S::width>(p.at.normed));
  keys found = keys::to_write;
  if constexpr (S::kinds.kind[Kind].role == cache_role::owner) {
    if (p.narrows(layer)) {
      write_keys<S, Kind>(p, layer, w, p.template scratch<S::width>(p.at.normed));
      keep_wanted<S>(p);
      if (p.rows == 0) return;  // all that was wanted are the keys
      found = keys::written;
    }
  }
  const auto x = p.template scratch<S::width>(p.at.stream);
  const auto normed = p.template scratch<S::width>(p.at.normed);
  const auto branch = p.template scratch<S::width>(p.at.branch);
  attend<S, Kind>(p, layer, w, normed, branch, found);
  close_and_open_rows(p.on, x, branch, w.post_attention_norm, w.feed_norm, eps, normed);

  feed_forward<S, Kind>(p, w, normed, branch);
  if constexpr (spec.experts.has_value()) {
    p.show("moe.dense", layer, branch.data, S::width);
    norm_rows(p.on, branch, w.dense_post_norm, eps, branch);
    const auto routed = p.template scratch<S::width>(p.at.second);
    mixture_of_experts<S, Kind>(p, layer, w, x, routed);
    p.show("moe.experts", layer, routed.data, S::width);
    add_normed_rows(p.on, branch, routed, w.experts_post_norm, eps);
  } else {
    p.show("mlp.out", layer, branch.data, S::width);
  }
  add_normed_rows(p.on, x, branch, w.post_feed_norm, eps);

  if constexpr (spec.per_layer.has_value()) {
    per_layer_branch<S, Kind>(p, layer, w, x, branch);
    if (p.see.watching()) {  // the stream takes the normed branch in one step, which leaves nothing to look at
      norm_rows(p.on, branch, w.post_per_layer_norm, eps, normed);
      p.show("ple.out", layer, normed.data, S::width);
    }
    add_normed_rows(p.on, x, branch, w.post_per_layer_norm, eps);
  }
  if constexpr (spec.layer_scalar) p.on.scale_by(x.data, p.rows * S::width, w.stream_scale.data);
  p.show("hidden", layer, x.data, S::width);
}

/// A layer of whichever of the two forms the stack has.
template <class S, int Kind, Backend B>
void run_layer(pass<B>& p, int layer, const layer_weights<S, Kind>& w) {
  if constexpr (S::spec.altup.has_value()) {
    altup_block<S, Kind>(p, layer, w);
  } else {
    decoder_block<S, Kind>(p, layer, w);
  }
}

}  // namespace g4
