/// Where ranks meet: what a layer of a share does with the others.
#pragma once

#include <cstddef>

#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/rule/rank_rules.h"
#include "g4/tensor/share.h"

namespace g4 {

/// Whether S is one rank's share of a model (`model/sharded.h`).
template <class S>
inline constexpr bool shared_out = S::spec.ranks > 1;

/// y = W·x, the product that closes a branch.
///
/// x   [T, Part]   this rank's part of the input, where there are several: all of W's input is theirs together, or where sums are
///                 divided, W's columns are this rank's
/// y   [T, D]      all of it
template <class S, int Out, int In, int Part, Backend B>
void close_branch(pass<B>& p, const matrix<Out, In>& w, rows<Part, typename B::scalar> x,
                  rows<S::width, typename B::scalar> y) {
  if constexpr (shared_out<S>) {
    (void)rule::a_share_needs_ranks_that_meet<JoinsRanks<B>>{};
    if constexpr (!JoinsRanks<B>) {
    } else if constexpr (S::spec.divides_sums) {
      p.on.sum_products(w, x.data, x.count, S::width, y.data);
    } else {
      p.on.close(w, x.data, x.count, S::width, y.data);
    }
  } else {
    linear(p.on, w, x, y);
  }
}

/// The Gaussian top-k of a gate. Its mean and deviation run over the whole width, whatever part of it a rank has.
///
/// whole   of the width
template <class S, int Hidden, Backend B>
void sparsify_gate(pass<B>& p, rows<Hidden, typename B::scalar> gate, [[maybe_unused]] std::size_t whole, float z) {
  if constexpr (!shared_out<S>) {
    p.on.sparsify(gate.data, gate.count, Hidden, z);
  } else if constexpr (JoinsRanks<B>) {
    p.on.join_sparsify(gate.data, gate.count, whole, z, S::spec.divides_sums ? cut_of_a_row(whole, S::spec.ranks) : 1);
  }
}

/// Shows rows of heads, where all heads are here.
template <class S, Backend B>
void show_heads(pass<B>& p, const char* name, int layer, const typename B::scalar* data, std::size_t width) {
  if constexpr (!shared_out<S>) p.show(name, layer, data, width);
}

}  // namespace g4
