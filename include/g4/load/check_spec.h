/// The rules of rule/rules.h for a model that is read at run time: the same facts, the same reasons.
#pragma once

#include <climits>
#include <string>

#include "g4/core/result.h"
#include "g4/spec/text.h"

namespace g4::load {

namespace detail {

/// Whether a · b · c is a positive int.
[[nodiscard]] constexpr bool fits(long long a, long long b, long long c = 1) {
  if (a <= 0 || b <= 0 || c <= 0) return false;
  return a <= INT_MAX && b <= INT_MAX / a && c <= INT_MAX / (a * b);
}

}  // namespace detail

/// Refuses a settled specification that no variant could have.
///
/// name   what errors call the file
[[nodiscard]] inline result<void> check_spec(const text_spec& m, const std::string& name) {
  const auto refuse = [&name](const auto&... pieces) { return fail(name, ": ", pieces...); };
  if (m.layers <= 0 || m.width <= 0 || m.vocab <= 0) {
    return refuse("a model needs at least one layer, one channel and one token; it has ", m.layers, ", ", m.width,
                  " and ", m.vocab, " (num_hidden_layers, hidden_size, vocab_size)");
  }
  if (m.layers > max_layers) return refuse("has ", m.layers, " layers; g4 takes at most ", max_layers);
  if (m.shared_layers < 0 || m.shared_layers > m.layers) {
    return refuse(m.shared_layers, " of ", m.layers, " layers share keys and values; expected 0 to ", m.layers,
                  " (num_kv_shared_layers)");
  }
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[static_cast<std::size_t>(l)];
    const std::string layer = "layer " + std::to_string(l);
    if (k.query_heads <= 0 || k.key_value_heads <= 0 || k.query_heads % k.key_value_heads != 0) {
      return refuse("query heads must be a multiple of key/value heads, so that every group shares one key; ", layer,
                    " has ", k.query_heads, " and ", k.key_value_heads, " (num_attention_heads, num_key_value_heads)");
    }
    if (k.head_size <= 0 || k.head_size % 2 != 0) {
      return refuse("the head size must be a positive even number, because rotary embedding turns pairs; ", layer,
                    " has ", k.head_size, " (head_dim)");
    }
    if (k.hidden <= 0)
      return refuse("every layer needs a feed-forward width; ", layer, " has ", k.hidden, " (intermediate_size)");
    if (k.sees == reach::local && k.keys.back < 0) {
      return refuse("a local layer needs a window, so that it knows which keys to keep; ", layer,
                    " has none (sliding_window)");
    }
    if (!detail::fits(k.query_heads, k.head_size) || !detail::fits(k.hidden, 2)) {
      return refuse(layer, " has ", k.query_heads, " heads of size ", k.head_size, " and a feed-forward width of ",
                    k.hidden, "; g4 counts up to 2^31");
    }
    if (m.is_drafter()) continue;
    const int producer = m.producer[static_cast<std::size_t>(l)];
    if (producer < 0 || producer > l) {
      return refuse("a layer that shares keys and values needs an earlier layer of its own reach that makes them; ",
                    layer, " has none (num_kv_shared_layers, layer_types)");
    }
    const layer_kind& owner = m.layer[static_cast<std::size_t>(producer)];
    if (k.key_value_heads != owner.key_value_heads || k.head_size != owner.head_size) {
      return refuse(
          "a layer that shares keys and values must have the key/value heads and head size of the layer that makes "
          "them; ",
          layer, " has ", k.key_value_heads, " of size ", k.head_size, ", layer ", producer, " has ",
          owner.key_value_heads, " of size ", owner.head_size);
    }
  }
  if (m.experts.has_value()) {
    if (m.experts->chosen <= 0 || m.experts->chosen > m.experts->count) {
      return refuse("a router chooses at least one expert and at most all of them; it chooses ", m.experts->chosen,
                    " of ", m.experts->count, " (top_k_experts, num_experts)");
    }
    if (m.experts->hidden <= 0)
      return refuse("experts need a feed-forward width; it is ", m.experts->hidden, " (moe_intermediate_size)");
    if (!detail::fits(m.experts->count, 2LL * m.experts->hidden) || !detail::fits(m.experts->count, m.width)) {
      return refuse("has ", m.experts->count, " experts of width ", m.experts->hidden, "; g4 counts up to 2^31");
    }
  }
  if (m.per_layer.has_value()) {
    if (m.per_layer->vocab <= 0) {
      return refuse("per-layer embeddings need a table; it has ", m.per_layer->vocab,
                    " rows (vocab_size_per_layer_input)");
    }
    if (!detail::fits(m.layers, m.per_layer->width)) {
      return refuse("per-layer embeddings of ", m.layers, " times ", m.per_layer->width,
                    " are too wide; g4 counts up to 2^31");
    }
  }
  if (m.clusters.has_value()) {
    if (m.vocab % m.clusters->count != 0) {
      return refuse("clusters of tokens are of equal size; ", m.clusters->count, " do not divide ", m.vocab,
                    " (num_centroids, vocab_size)");
    }
    if (m.clusters->chosen <= 0 || m.clusters->chosen > m.clusters->count) {
      return refuse("a drafter's head chooses at least one cluster and at most all of them; it chooses ",
                    m.clusters->chosen, " of ", m.clusters->count, " (centroid_intermediate_top_k, num_centroids)");
    }
  }
  return {};
}

}  // namespace g4::load
