/// What a model is of which a rank has its share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/spec/text.h"
#include "g4/tensor/share.h"

namespace g4 {

/// Whether the sums inside a product are divided among ranks.
enum class sums : std::uint8_t {
  whole,    ///< no: every large weight is parted by its rows, so R ranks give the bits of one process
  divided,  ///< output and down projections are parted by their columns, and what ranks make of them is added: half as many
            ///< exchanges, and other last bits for every number of ranks. All ranks have the same
};

/// Heads are not divided: query heads are a multiple of the ranks, and key/value heads a multiple or a divisor of them.
[[nodiscard]] constexpr bool heads_divide(int query, int key_value, int ranks) {
  return ranks > 0 && query % ranks == 0 && key_value > 0 && (key_value % ranks == 0 || ranks % key_value == 0);
}
[[nodiscard]] constexpr bool heads_divide(const stack_spec& m, int ranks) {
  for (int l = 0; l < m.layers; ++l) {
    if (!heads_divide(m.layer[l].query_heads, m.layer[l].key_value_heads, ranks)) return false;
  }
  return true;
}

/// Key/value heads of a rank: some of them, or one that it shares with its neighbours.
[[nodiscard]] constexpr int key_heads_of_a_rank(int heads, int ranks) { return heads < ranks ? 1 : heads / ranks; }

/// Which of the n numbers of a feed-forward's hidden row a rank has. Where sums are divided they are columns of a stored weight.
[[nodiscard]] constexpr stretch hidden_of_a_rank(std::size_t n, int ranks, int rank, sums how = sums::whole) {
  return share_of(n, ranks, rank, how == sums::divided ? cut_of_a_row(n, ranks) : 1);
}
/// The most of them that any rank has.
[[nodiscard]] constexpr int largest_hidden(int n, int ranks, sums how = sums::whole) {
  const int unit = how == sums::divided ? static_cast<int>(cut_of_a_row(static_cast<std::size_t>(n), ranks)) : 1;
  return largest_share(n / unit, ranks) * unit;
}

/// A layer as a rank has it: fewer heads, a narrower feed-forward.
[[nodiscard]] constexpr layer_kind layer_of_a_rank(layer_kind k, int ranks, sums how = sums::whole) {
  k.query_heads /= ranks;
  k.key_value_heads = key_heads_of_a_rank(k.key_value_heads, ranks);
  k.hidden = largest_hidden(k.hidden, ranks, how);
  return k;
}

/// The model of which one of so many ranks has its share: what its caches and its working memory are planned by. Its heads
/// must divide.
[[nodiscard]] constexpr text_spec spec_of_a_rank(text_spec m, int ranks, sums how = sums::whole) {
  for (int l = 0; l < m.layers; ++l) m.layer[l] = layer_of_a_rank(m.layer[l], ranks, how);
  m.query_heads /= ranks;
  m.key_value_heads = m.key_value_heads == 0 ? 0 : key_heads_of_a_rank(m.key_value_heads, ranks);
  if (m.experts) {
    experts_spec e = *m.experts;
    e.hidden = largest_hidden(e.hidden, ranks, how);
    m.experts = e;
  }
  m.ranks = ranks;
  m.divides_sums = ranks > 1 && how == sums::divided;
  return m;
}

}  // namespace g4
