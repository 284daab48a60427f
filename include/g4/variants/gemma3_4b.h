/// Gemma 3, 4 billion parameters, the text model.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

/// Source: config.json of google/gemma-3-4b-pt.
struct gemma3_4b : transformer<
    shape{.layers = 34, .width = 2560, .vocab = 262'208},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 8, .key_value = 4}, qk_norm, scaled_by_root_of{256}>,
    repeat<times<5, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{10'240}>,
    image_mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4
