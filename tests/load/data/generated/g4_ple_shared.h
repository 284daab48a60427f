/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g4_ple_shared : transformer<
    shape{.layers = 10, .width = 48, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<4, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{4}>,
    feed::gated<gelu_tanh, hidden{64}, doubled_where_shared>,
    per_layer_embedding{.width = 8, .vocab = 256},
    layer_scalar,
    logits::soft_cap{30}> {};

}  // namespace g4
