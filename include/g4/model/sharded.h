/// One rank's share of a model, as a model.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "g4/model/kinds.h"
#include "g4/model/pipeline.h"
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

/// What a rank's share has besides where the model is a drafter: its layers read the keys of the same rank's share of the target.
template <class V, class Plan>
struct share_of_a_drafter {};

}  // namespace detail

/// What one of several ranks has of V. It is a variant with fewer heads and narrower feed-forwards: its checkpoint, its
/// caches and its memory follow from that, and the code of any other variant runs it.
///
///     backend::joined<backend::cpu, comm::mpi> on(ranks);
///     auto model = open<sharded<gemma4_31b, tensor_parallel<2>>>(path, on);       // on each of two ranks
///
/// Plan   `tensor_parallel<R>`, or `tensor_parallel<R, sums::divided>`; or `pipeline<cut_before<N>…>`, which is below
template <Variant V, class Plan>
struct sharded : detail::share_of_a_drafter<V, Plan> {
  using whole = V;
  using plan = Plan;
  static_assert(detail::heads_of_every_kind_divide<V, Plan::ranks>(std::make_integer_sequence<int, V::kinds.count>{}));

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

namespace detail {

template <class V, class Plan>
constexpr bool can_be_cut_like_this() {
  (void)rule::a_pipeline_is_a_decoder<!V::spec.is_drafter() && V::spec.sees != visibility::everything>{};
  constexpr auto bounds = Plan::bounds(V::spec.layers);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((void)rule::cuts_follow_each_other<bounds[I + 1], bounds[I], V::spec.layers>{}, ...);
    ((void)rule::a_cut_parts_no_reader_from_its_producer<bounds[I + 1], last_cut(V::spec)>{}, ...);
  }(std::make_index_sequence<Plan::ranks - 1>{});
  return true;
}

}  // namespace detail

/// V in stages, one on each rank. Its type is the same on all of them, and that of V but for its plan; which layers a rank has,
/// and so the weights that it reads and the caches that it plans, is `of_stage[rank]`.
///
///     auto model = open<sharded<gemma4_31b, pipeline<cut_before<30>>>>(path, on);     // on each of two ranks
template <Variant V, class... Cuts>
struct sharded<V, pipeline<Cuts...>> {
  using whole = V;
  using plan = pipeline<Cuts...>;
  static_assert(detail::can_be_cut_like_this<V, plan>());

  static constexpr text_spec spec = spec_of_a_stage(V::spec, plan::ranks, {0, V::spec.layers});
  static constexpr std::array<text_spec, plan::ranks> of_stage = [] {
    std::array<text_spec, plan::ranks> stages;
    for (int s = 0; s < plan::ranks; ++s) {
      stages[static_cast<std::size_t>(s)] = spec_of_a_stage(V::spec, plan::ranks, plan::layers_of(s, V::spec.layers));
    }
    return stages;
  }();
  static constexpr kind_table kinds = V::kinds;
  static constexpr auto activation = V::activation;
  static constexpr int layers = spec.layers;
  static constexpr int width = spec.width;
  static constexpr int vocab = spec.vocab;
};

template <class V, class Plan>
  requires requires { typename V::target; }
struct detail::share_of_a_drafter<V, Plan> {
  using target = sharded<typename V::target, Plan>;
  [[nodiscard]] static constexpr int producer(int layer) { return V::producer(layer); }
};

/// A type `sharded<V, Plan>`.
template <class V>
concept Shared = Variant<V> && requires {
  typename V::whole;
  typename V::plan;
};

}  // namespace g4
