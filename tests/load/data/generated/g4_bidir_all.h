/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g4_bidir_all : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<5, local<head{16}, each_side{5}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
    layer_scalar,
    mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4
