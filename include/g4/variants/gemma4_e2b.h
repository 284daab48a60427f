/// Gemma 4 E2B, the text model.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

/// Source: config.json of google/gemma-4-E2B. Layers 15 to 34 read the keys and values of layers 13 (local) and 14 (global).
struct gemma4_e2b : transformer<
    shape{.layers = 35, .width = 1536, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 8, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<4, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{20}>,
    feed::gated<gelu_tanh, hidden{6144}, doubled_where_shared>,
    per_layer_embedding{.width = 256, .vocab = 262'144},
    layer_scalar,
    logits::soft_cap{30}> {};

}  // namespace g4
