/// Gemma 3, 12 billion parameters, the text model.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

/// Source: config.json of google/gemma-3-12b-pt.
struct gemma3_12b : transformer<
    shape{.layers = 48, .width = 3840, .vocab = 262'208},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 16, .key_value = 8}, qk_norm, scaled_by_root_of{256}>,
    repeat<times<5, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{15'360}>,
    image_mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4
