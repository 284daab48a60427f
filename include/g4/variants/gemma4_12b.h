/// Gemma 4 12B, the text model.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

/// Source: config.json of google/gemma-4-12B.
struct gemma4_12b : transformer<
    shape{.layers = 48, .width = 3840, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 16, .key_value = 8}, qk_norm, v_norm, unscaled>,
    repeat<times<5, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, key_value_heads{1}, key_is_value, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{15'360}>,
    layer_scalar,
    image_mask::bidirectional_on_local,
    logits::soft_cap{30}> {};

}  // namespace g4
