/// The drafter of Gemma 4 E2B.
#pragma once

#include "g4/model/drafter.h"
#include "g4/variants/gemma4_e2b.h"

namespace g4 {

/// Source: config.json of google/gemma-4-E2B-it-assistant.
struct gemma4_e2b_assistant : drafter<gemma4_e2b,
    shape{.layers = 4, .width = 256, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<3, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{2048}>,
    layer_scalar,
    ordered_embeddings{.clusters = 2048, .chosen = 32}> {};

}  // namespace g4
