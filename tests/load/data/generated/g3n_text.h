/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g3n_text : transformer<
    shape{.layers = 8, .width = 48, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<3, local<head{12}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{12}, rope{.theta = 1e6f}>>>,
    share_kv<last{3}>,
    feed::gated<gelu_tanh, hidden{64, 1}, hidden{96, 1}, hidden{64, 1}, hidden{80, 1}, hidden{64, 3}, hidden{96},
                sparse{0.95f, 1}, sparse{0.8f, 1}, sparse{0.5f, 1}>,
    altup{.streams = 4},
    laurel{.rank = 8},
    per_layer_embedding{.width = 8, .vocab = 256},
    logits::soft_cap{30}> {};

}  // namespace g4
