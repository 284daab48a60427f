/// Gemma 3, 1 billion parameters, text only.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

/// Source: config.json of google/gemma-3-1b-pt.
struct gemma3_1b : transformer<
    shape{.layers = 26, .width = 1152, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, scaled_by_root_of{256}>,
    repeat<times<5, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{6912}>,
    logits::uncapped> {};

}  // namespace g4
