/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g4_pattern_b : transformer<
    shape{.layers = 6, .width = 56, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled, biased>,
    repeat<times<1, local<head{16}, window{6}, rope{.theta = 1e4f}>>,
           times<3, global<head{32}, key_value_heads{1}, key_is_value, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{1}>,
    feed::gated<gelu_tanh, hidden{80}, doubled_where_shared>,
    per_layer_embedding{.width = 7, .vocab = 256},
    layer_scalar,
    logits::uncapped> {};

}  // namespace g4
