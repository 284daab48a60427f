/// The drafter of Gemma 4 31B.
#pragma once

#include "g4/model/drafter.h"
#include "g4/variants/gemma4_31b.h"

namespace g4 {

/// Source: config.json of google/gemma-4-31B-it-assistant.
struct gemma4_31b_assistant : drafter<gemma4_31b,
    shape{.layers = 4, .width = 1024, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 32, .key_value = 16}, qk_norm, v_norm, unscaled>,
    repeat<times<3, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, key_value_heads{4}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{8192}>,
    layer_scalar,
    logits::uncapped> {};

}  // namespace g4
