/// Made from a model's configuration; not to be edited.
#pragma once

#include "g4/model/drafter.h"
#include "tests/load/data/generated/g4_assistant.h"

namespace g4 {

struct test_g4_assistant_drafter : drafter<test_g4_assistant,
    shape{.layers = 4, .width = 32, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<3, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{48}>,
    layer_scalar,
    ordered_embeddings{.clusters = 32, .chosen = 5}> {};

}  // namespace g4
