/// The drafter of Gemma 4 26B-A4B.
#pragma once

#include "g4/model/drafter.h"
#include "g4/variants/gemma4_26b_a4b.h"

namespace g4 {

/// Source: config.json of google/gemma-4-26B-A4B-it-assistant.
struct gemma4_26b_a4b_assistant : drafter<gemma4_26b_a4b,
    shape{.layers = 4, .width = 1024, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 16, .key_value = 8}, qk_norm, v_norm, unscaled>,
    repeat<times<3, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, key_value_heads{2}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{8192}>,
    layer_scalar,
    logits::uncapped> {};

}  // namespace g4
