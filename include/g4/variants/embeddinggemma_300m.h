/// EmbeddingGemma, 300 million parameters: a text embedder, which sees in both directions.
#pragma once

#include "g4/model/transformer.h"
#include "g4/policy/pooling.h"

namespace g4 {

/// Source: config.json of google/embeddinggemma-300m, whose sliding_window 512 means keys at a distance below 257.
struct embeddinggemma_300m : transformer<
    shape{.layers = 24, .width = 768, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 3, .key_value = 1}, qk_norm, scaled_by_root_of{256}>,
    repeat<times<5, local<head{256}, each_side{256}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{1152}>,
    mask::bidirectional,
    logits::uncapped,
    pooled_embedding{.hidden = 3072, .out = 768}> {};

}  // namespace g4
