/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g4_pattern_a : transformer<
    shape{.layers = 8, .width = 48, .vocab = 256},
    embed::untied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled, biased>,
    repeat<times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>,
           times<2, local<head{16}, window{7}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>,
           times<2, local<head{16}, window{7}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{6}>,
    feed::gated<gelu_tanh, hidden{72}, doubled_where_shared>,
    per_layer_embedding{.width = 10, .vocab = 256},
    layer_scalar,
    logits::uncapped> {};

}  // namespace g4
