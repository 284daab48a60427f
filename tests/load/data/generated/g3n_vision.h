/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g3n_vision : transformer<
    shape{.layers = 5, .width = 32, .vocab = 268},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>,
           times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    share_kv<last{2}>,
    feed::gated<gelu_tanh, hidden{48}, sparse{0.9f, 1}, sparse{0.5f, 1}>,
    altup{.streams = 4},
    laurel{.rank = 8},
    per_layer_embedding{.width = 8, .vocab = 256},
    logits::soft_cap{30}> {};

}  // namespace g4
