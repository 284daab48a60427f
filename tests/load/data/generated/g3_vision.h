/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g3_vision : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{24}>,
    repeat<times<5, local<head{16}, window{10}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
    image_mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4
