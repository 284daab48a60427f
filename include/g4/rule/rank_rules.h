/// The rules of a model that is shared out among ranks.
#pragma once

namespace g4::rule {

/// Whole heads: what attention of a rank reads and writes is its own.
template <int Query, int KeyValue, int Ranks>
struct heads_divide_among_ranks {
  static_assert(Ranks > 0 && Query % Ranks == 0 && (KeyValue % Ranks == 0 || Ranks % KeyValue == 0),
                "g4: query heads must be a multiple of the ranks, and key/value heads a multiple or a divisor of them, so "
                "that every rank holds whole heads. See num_attention_heads and num_key_value_heads in config.json.");
};

/// A share alone computes nothing.
template <bool Joined>
struct a_share_needs_ranks_that_meet {
  static_assert(Joined,
                "g4: a rank's share of a model runs on a backend that meets the other ranks: backend::joined<B, C>. See "
                "backend/joined.h.");
};

/// Cuts of a pipeline stand between layers, one behind the other.
template <int Cut, int Before, int Layers>
struct cuts_follow_each_other {
  static_assert(Cut > Before && Cut < Layers,
                "g4: a pipeline is cut before a layer other than the first, and every cut stands behind the one before it: "
                "pipeline<cut_before<10>, cut_before<20>>.");
};

/// Keys and values do not go from rank to rank.
template <int Cut, int LastPossible>
struct a_cut_parts_no_reader_from_its_producer {
  static_assert(Cut <= LastPossible,
                "g4: this cut parts a layer from the one whose keys and values it reads. A pipeline can be cut before the first "
                "layer that is read by others, LastPossible here, or before any earlier one. g4 inspect --cuts shows them.");
};

/// What ends in no logits is small.
template <bool Decoder>
struct a_pipeline_is_a_decoder {
  static_assert(Decoder, "g4: drafters and encoders are not cut into stages. See docs/ranks.md.");
};

}  // namespace g4::rule
