/// One rank's share of a model, as a model.
#pragma once

#include <utility>

#include "g4/model/kinds.h"
#include "g4/model/split.h"
#include "g4/model/transformer.h"
#include "g4/rule/rank_rules.h"
#include "g4/spec/share.h"

namespace g4 {

namespace detail {

template <class V, int Ranks, int... Kind>
constexpr bool heads_of_every_kind_divide(std::integer_sequence<int, Kind...>) {
  ((void)rule::heads_divide_among_ranks<V::kinds.kind[Kind].query_heads, V::kinds.kind[Kind].key_value_heads, Ranks>{},
   ...);
  return true;
}

}  // namespace detail

/// What one of several ranks has of V. It is a variant with fewer heads and narrower feed-forwards: its checkpoint, its
/// caches and its memory follow from that, and the code of any other variant runs it.
///
///     backend::joined<backend::cpu, comm::mpi> on(ranks);
///     auto model = open<sharded<gemma4_31b, tensor_parallel<2>>>(path, on);       // on each of two ranks
///
/// Plan   `tensor_parallel<R>`, or `tensor_parallel<R, sums::divided>`
template <Variant V, class Plan>
struct sharded {
  using whole = V;
  using plan = Plan;
  static_assert(detail::heads_of_every_kind_divide<V, Plan::ranks>(std::make_integer_sequence<int, V::kinds.count>{}));
  static_assert((void(rule::a_drafters_target_is_whole<!V::spec.is_drafter()>{}), true));

  static constexpr text_spec spec = spec_of_a_rank(V::spec, Plan::ranks, Plan::sums_are);
  /// The kinds of V, narrower: two that become alike stay apart.
  static constexpr kind_table kinds = [] {
    kind_table table = V::kinds;
    for (int k = 0; k < table.count; ++k) table.kind[k] = layer_of_a_rank(table.kind[k], Plan::ranks, Plan::sums_are);
    return table;
  }();
  static constexpr auto activation = V::activation;
  static constexpr int layers = spec.layers;
  static constexpr int width = spec.width;
  static constexpr int vocab = spec.vocab;
};

/// A type `sharded<V, Plan>`.
template <class V>
concept Shared = Variant<V> && requires {
  typename V::whole;
  typename V::plan;
};

}  // namespace g4
