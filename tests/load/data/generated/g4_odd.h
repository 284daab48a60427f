/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/transformer.h"

namespace g4 {

struct test_g4_odd : transformer<
    shape{.layers = 5, .width = 72, .vocab = 257},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 3, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<2, local<head{24}, window{5}, rope{.theta = 1e4f}>>,
           times<1, global<head{40}, partial_rope{.theta = 1e6f, .fraction = 0.5f}>>,
           times<1, local<head{24}, window{5}, rope{.theta = 1e4f}>>,
           times<1, global<head{40}, partial_rope{.theta = 1e6f, .fraction = 0.5f}>>>,
    feed::gated<gelu_tanh, hidden{100}>,
    layer_scalar,
    logits::soft_cap{20}> {};

}  // namespace g4
