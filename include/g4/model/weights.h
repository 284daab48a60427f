/// The weights of a model as a tree of typed views. It owns no numbers: whoever fills it keeps them alive.
///
/// A member here is one of the two lines that a tensor is; the other is in `model/schema.h`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/token_id.h"
#include "g4/model/schema.h"
#include "g4/model/transformer.h"
#include "g4/model/whole.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/present.h"
#include "g4/tensor/share.h"

namespace g4 {

/// A matrix of gates above one of what they gate, of which a rank has some rows each.
template <int Out, int In>
struct gate_and_up {
  matrix<Out, In> gate, up;
};

/// Weights of one layer of kind `Kind`. A reusing layer has no key and value weights, by type.
///
/// A product that closes a branch reads all of a row, whatever this rank has of it, and makes this rank's part of one; where sums
/// are divided it reads this rank's part, and makes what is added to the others'.
template <Variant V, int Kind>
struct layer_weights {
  static constexpr layer_kind kind = V::kinds.kind[Kind];
  static constexpr text_spec spec = V::spec;
  static constexpr int width = spec.width;
  static constexpr int query_width = kind.query_heads * kind.head_size;
  static constexpr int key_width = kind.key_value_heads * kind.head_size;
  static constexpr bool owns = kind.role == cache_role::owner;
  static constexpr bool owns_values = owns && !kind.key_is_value;
  static constexpr bool biased = spec.attention_bias;
  static constexpr bool experts = spec.experts.has_value();
  static constexpr bool altup = spec.altup.has_value();
  static constexpr bool laurel = spec.laurel.has_value();
  static constexpr bool per_layer = spec.per_layer.has_value();
  static constexpr bool shared_out = spec.ranks > 1;
  static constexpr layer_kind whole_kind = whole_of<V>::kinds.kind[Kind];
  static constexpr bool divided = spec.divides_sums;
  static constexpr int closing = divided ? width : largest_share(width, spec.ranks);
  static constexpr int mixed_width = divided ? query_width : whole_kind.query_heads * whole_kind.head_size;
  static constexpr int expert_hidden = spec.experts->hidden;
  static constexpr int expert_columns = divided ? expert_hidden : whole_of<V>::spec.experts->hidden;

  vector<width> attention_norm, post_attention_norm;
  matrix<query_width, width> query;
  present_if<owns, matrix<key_width, width>> key;
  present_if<owns_values, matrix<key_width, width>> value;
  matrix<closing, mixed_width> output;
  present_if<biased, vector<query_width>> query_bias;
  present_if<biased && owns, vector<key_width>> key_bias;
  present_if<biased && owns_values, vector<key_width>> value_bias;
  present_if<biased, vector<width>> output_bias;
  present_if<spec.qk_norm, vector<kind.head_size>> query_norm;
  present_if<spec.qk_norm && owns, vector<kind.head_size>> key_norm;

  vector<width> feed_norm, post_feed_norm;
  matrix<kind.hidden, width> gate, up;
  matrix<closing, divided ? kind.hidden : whole_kind.hidden> down;

  present_if<experts, matrix<spec.experts->count, width>> router;
  present_if<experts, vector<width>> router_scale;
  present_if<experts, vector<spec.experts->count>> expert_scale;
  using gate_above_up =
      std::conditional_t<shared_out, gate_and_up<expert_hidden, width>, matrix<2 * expert_hidden, width>>;
  present_if<experts, std::array<gate_above_up, spec.experts->count>> experts_gate_up;
  present_if<experts, std::array<matrix<closing, expert_columns>, spec.experts->count>> experts_down;
  present_if<experts, vector<width>> dense_post_norm, experts_norm, experts_post_norm;

  present_if<spec.layer_scalar, vector<1>> stream_scale;
  present_if<per_layer, matrix<spec.per_layer->width, width>> per_layer_gate;
  present_if<per_layer, matrix<width, spec.per_layer->width>> per_layer_projection;
  present_if<per_layer, vector<width>> post_per_layer_norm;

  present_if<altup, vector<width>> altup_output_scale, altup_router_norm;
  present_if<altup, matrix<spec.altup->streams, spec.altup->streams>> altup_correct;
  present_if<altup, matrix<spec.altup->streams * spec.altup->streams, spec.altup->streams>> altup_predict;
  present_if<altup, matrix<spec.altup->streams, width>> altup_router;
  present_if<laurel, matrix<spec.laurel->rank, width>> laurel_left;
  present_if<laurel, matrix<width, spec.laurel->rank>> laurel_right;
  present_if<laurel, vector<width>> laurel_norm;
};

namespace detail {

template <class V, class Kinds>
struct layers_by_kind;
template <class V, int... Kind>
struct layers_by_kind<V, std::integer_sequence<int, Kind...>> {
  using type = std::tuple<std::vector<layer_weights<V, Kind>>...>;
};

}  // namespace detail

/// All weights of a module: const once loaded, and shared by any number of sessions. Of a variant, those of its text.
template <class Module>
struct weights;

template <Variant V>
struct weights<V> {
  static constexpr text_spec spec = V::spec;
  static constexpr bool per_layer = spec.per_layer.has_value();
  static constexpr bool altup = spec.altup.has_value();
  static constexpr bool drafter = spec.is_drafter();
  static constexpr std::size_t others = altup ? spec.altup->streams - 1 : 0;

  matrix<spec.vocab, spec.width> embed;  ///< one row is read per token; rows as stored, or the head where that is tied
  matrix<spec.vocab, spec.width> head;   ///< perhaps in a backend's own layout
  vector<spec.width> final_norm;
  present_if<per_layer, matrix<spec.per_layer->vocab, spec.layers * spec.per_layer->width>> per_layer_embed;
  present_if<per_layer, matrix<spec.layers * spec.per_layer->width, spec.width>> per_layer_model_projection;
  present_if<per_layer, vector<spec.per_layer->width>> per_layer_projection_norm;
  present_if<altup, std::array<matrix<spec.width, spec.width>, others>> altup_projections, altup_unembed_projections;
  present_if<drafter, matrix<spec.width, 2 * spec.target->width>> pre_projection;
  present_if<drafter, matrix<spec.target->width, spec.width>> post_projection;
  present_if<(spec.clusters.has_value()), matrix<spec.clusters->count, spec.width>> centroids;
  present_if<(spec.clusters.has_value()), std::vector<token_id>> token_ordering;

  typename detail::layers_by_kind<V, std::make_integer_sequence<int, V::kinds.count>>::type layers;
  std::vector<std::shared_ptr<const void>> keep;  ///< files and buffers that the views point into
  std::uint64_t checkpoint = 0;                   ///< tells the checkpoint they are of from others; 0: nobody said

  weights() { size_layers(std::make_integer_sequence<int, V::kinds.count>{}); }

  /// Tokens that have a row of the head: a GGUF of Gemma 3 leaves out the last, unused ones. Of a rank's share the head has
  /// some of them, of a stage all or none.
  [[nodiscard]] std::size_t known_tokens() const {
    if constexpr (spec.in_one_piece()) return head.rows;
    return spec.tied_head ? embed.rows : static_cast<std::size_t>(spec.vocab);
  }

 private:
  template <int... Kind>
  void size_layers(std::integer_sequence<int, Kind...>) {
    (std::get<Kind>(layers).resize(V::kinds.layers[Kind]), ...);
  }
};

/// Calls `body.operator()<Kind>()` with the kind of layer `l`: where run-time depth meets compile-time kinds.
template <Variant V, class Body>
void with_kind_of_layer(int l, Body&& body) {
  const int kind = V::kinds.of[l];
  [&]<int... Kind>(std::integer_sequence<int, Kind...>) {
    (void)((Kind == kind && (body.template operator()<Kind>(), true)) || ...);
  }(std::make_integer_sequence<int, V::kinds.count>{});
}

/// Calls `visit(tensor_entry, member)` for every tensor of the model and the typed view that holds it; a member that this
/// kind of layer does not have is passed as `absent`.
/// Of a rank's share the tensors are those of the whole model.
template <Variant V, class Visit>
void each_weight(weights<V>& w, Visit&& visit) {
  each_text_part(
      whole_of<V>::spec, [&](const tensor_entry& t, auto member) { visit(t, member(w)); },
      [&] {
        for (int l = 0; l < V::spec.layers; ++l) {
          with_kind_of_layer<V>(l, [&]<int Kind>() {
            auto& layer = std::get<Kind>(w.layers)[V::kinds.nth[l]];
            each_layer_part(whole_of<V>::spec, l, [&](const tensor_entry& t, auto member) { visit(t, member(layer)); });
          });
        }
      });
}

/// Layer `l`'s weights, `l` being of kind `Kind`.
template <int Kind, Variant V>
[[nodiscard]] const layer_weights<V, Kind>& layer_of(const weights<V>& w, int l) {
  return std::get<Kind>(w.layers)[V::kinds.nth[l]];
}

}  // namespace g4
