/// The checkpoint a model expects: every tensor's part in the model, its extents, and whether it must be there.
#pragma once

#include <array>
#include <cstdint>

#include "g4/spec/text.h"

namespace g4 {

/// A tensor's part in the model, whatever a file calls it (`load/names.h` knows the names of each format).
enum class part : std::uint8_t {
  // the whole model
  embed,
  head,
  final_norm,
  per_layer_embed,
  per_layer_model_projection,
  per_layer_projection_norm,
  altup_projections,  ///< streams − 1 matrices
  altup_unembed_projections,
  // a layer: attention
  attention_norm,
  post_attention_norm,
  query,
  key,
  value,
  output,
  query_bias,
  key_bias,
  value_bias,
  output_bias,
  query_norm,
  key_norm,
  // a layer: feed-forward
  feed_norm,
  post_feed_norm,
  gate,
  up,
  down,
  // a layer: mixture of experts
  router,
  router_scale,
  expert_scale,
  experts_gate_up,
  experts_down,
  dense_post_norm,
  experts_norm,
  experts_post_norm,
  // a layer: the rest
  stream_scale,  ///< Gemma 4 layer_scalar
  per_layer_gate,
  per_layer_projection,
  post_per_layer_norm,
  altup_output_scale,
  altup_correct,
  altup_predict,
  altup_router,
  altup_router_norm,
  laurel_left,
  laurel_right,
  laurel_norm,
  // a drafter
  pre_projection,
  post_projection,
  centroids,
  token_ordering,  ///< integers
};

/// Whether a checkpoint must hold a tensor. Anything the schema does not list is unknown.
enum class need : std::uint8_t {
  required,
  skippable,  ///< may be there and is not read: key and value weights that released files carry for reusing layers
};

/// What a part's numbers are: a matrix in any storage, or numbers that are read as float32.
enum class role : std::uint8_t { matrix, norm_weight, numbers, integers };

struct tensor_entry {
  part what = part::embed;
  int layer = -1;                ///< −1 for tensors of the whole model
  int rank = 1;                  ///< how many of `extents` count
  std::array<int, 3> extents{};  ///< outermost first, as safetensors lists them
  role as = role::matrix;
  need needed = need::required;

  [[nodiscard]] constexpr long long elements() const {
    long long n = 1;
    for (int i = 0; i < rank; ++i) n *= extents[i];
    return n;
  }
};

/// Calls `visit(tensor_entry)` for every tensor of layer `l`, in the order data meets them.
template <class Visit>
constexpr void each_layer_tensor(const text_spec& m, int l, Visit&& visit) {
  const layer_kind& k = m.layer[l];
  const int d = k.head_size;
  const auto matrix = [&](part what, int rows, int columns, need needed = need::required) {
    visit(tensor_entry{what, l, 2, {rows, columns, 0}, role::matrix, needed});
  };
  const auto norm = [&](part what, int size, need needed = need::required) {
    visit(tensor_entry{what, l, 1, {size, 0, 0}, role::norm_weight, needed});
  };
  const auto numbers = [&](part what, int size, need needed = need::required) {
    visit(tensor_entry{what, l, 1, {size, 0, 0}, role::numbers, needed});
  };
  const need keys = k.role == cache_role::owner ? need::required : need::skippable;

  norm(part::attention_norm, m.width);
  matrix(part::query, k.query_heads * d, m.width);
  matrix(part::key, k.key_value_heads * d, m.width, keys);
  if (!k.key_is_value) matrix(part::value, k.key_value_heads * d, m.width, keys);
  matrix(part::output, m.width, k.query_heads * d);
  if (m.attention_bias) {
    numbers(part::query_bias, k.query_heads * d);
    numbers(part::key_bias, k.key_value_heads * d, keys);
    if (!k.key_is_value) numbers(part::value_bias, k.key_value_heads * d, keys);
    numbers(part::output_bias, m.width);
  }
  if (m.qk_norm) {
    norm(part::query_norm, d);
    norm(part::key_norm, d, keys);
  }
  norm(part::post_attention_norm, m.width);
  if (m.laurel.has_value()) {
    matrix(part::laurel_left, m.laurel->rank, m.width);
    matrix(part::laurel_right, m.width, m.laurel->rank);
    norm(part::laurel_norm, m.width);
  }

  norm(part::feed_norm, m.width);
  matrix(part::gate, k.hidden, m.width);
  matrix(part::up, k.hidden, m.width);
  matrix(part::down, m.width, k.hidden);
  if (m.experts.has_value()) {
    norm(part::dense_post_norm, m.width);
    matrix(part::router, m.experts->count, m.width);
    numbers(part::router_scale, m.width);
    numbers(part::expert_scale, m.experts->count);
    norm(part::experts_norm, m.width);
    visit(tensor_entry{part::experts_gate_up, l, 3, {m.experts->count, 2 * m.experts->hidden, m.width}});
    visit(tensor_entry{part::experts_down, l, 3, {m.experts->count, m.width, m.experts->hidden}});
    norm(part::experts_post_norm, m.width);
  }
  norm(part::post_feed_norm, m.width);

  if (m.altup.has_value()) {
    const int a = m.altup->streams;
    norm(part::altup_router_norm, m.width);
    matrix(part::altup_router, a, m.width);
    matrix(part::altup_predict, a * a, a);
    matrix(part::altup_correct, a, a);
    numbers(part::altup_output_scale, m.width);
  }
  if (m.per_layer.has_value()) {
    matrix(part::per_layer_gate, m.per_layer->width, m.width);
    matrix(part::per_layer_projection, m.width, m.per_layer->width);
    norm(part::post_per_layer_norm, m.width);
  }
  if (m.layer_scalar) numbers(part::stream_scale, 1);
}

/// Calls `visit(tensor_entry)` for every tensor a checkpoint of the model holds.
template <class Visit>
constexpr void each_tensor(const text_spec& m, Visit&& visit) {
  const auto matrix = [&](part what, int rows, int columns) { visit(tensor_entry{what, -1, 2, {rows, columns, 0}}); };
  const auto norm = [&](part what, int size) { visit(tensor_entry{what, -1, 1, {size, 0, 0}, role::norm_weight}); };

  if (m.is_drafter()) matrix(part::pre_projection, m.width, 2 * m.target->width);
  matrix(part::embed, m.vocab, m.width);
  if (m.per_layer.has_value()) {
    matrix(part::per_layer_embed, m.per_layer->vocab, m.layers * m.per_layer->width);
    matrix(part::per_layer_model_projection, m.layers * m.per_layer->width, m.width);
    norm(part::per_layer_projection_norm, m.per_layer->width);
  }
  if (m.altup.has_value()) {
    const int others = m.altup->streams - 1;
    visit(tensor_entry{part::altup_projections, -1, 3, {others, m.width, m.width}});
    visit(tensor_entry{part::altup_unembed_projections, -1, 3, {others, m.width, m.width}});
  }
  for (int l = 0; l < m.layers; ++l) each_layer_tensor(m, l, visit);
  norm(part::final_norm, m.width);
  if (!m.tied_head) matrix(part::head, m.vocab, m.width);
  if (m.is_drafter()) {
    matrix(part::post_projection, m.target->width, m.width);
    if (m.clusters.has_value()) {
      matrix(part::centroids, m.clusters->count, m.width);
      visit(tensor_entry{part::token_ordering, -1, 1, {m.vocab, 0, 0}, role::integers});
    }
  }
}

/// Numbers in all required tensors: the model's parameter count, tied tables counted once.
[[nodiscard]] constexpr long long parameters_of(const text_spec& m) {
  long long n = 0;
  each_tensor(m, [&](const tensor_entry& t) {
    if (t.needed == need::required && t.as != role::integers) n += t.elements();
  });
  return n;
}

}  // namespace g4
