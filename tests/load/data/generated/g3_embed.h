/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g3_embed : transformer<
    shape{.layers = 6, .width = 48, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 3, .key_value = 1}, qk_norm, scaled_by_root_of{16}>,
    repeat<times<5, local<head{16}, each_side{4}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{72}>,
    mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4
