/// Gemma 3, 27 billion parameters, the text model.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

/// Source: config.json of google/gemma-3-27b-pt. Scores are divided by √168, 168 being D / H, not by the root of the head size.
struct gemma3_27b : transformer<
    shape{.layers = 62, .width = 5376, .vocab = 262'208},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 32, .key_value = 16}, qk_norm, scaled_by_root_of{168}>,
    repeat<times<5, local<head{128}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{128}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{21'504}>,
    image_mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4
