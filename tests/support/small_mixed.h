/// A small Gemma 4 whose rows are long enough for the blocks of a GGUF file, or just too short.
#pragma once

#include "g4/model/transformer.h"

namespace g4::test {

/// Gemma 4 as E2B and as 26B-A4B at once; rows of 256, 64 and 96 numbers, so that each fall-back is met.
struct small_mixed : transformer<
    shape{.layers = 8, .width = 256, .vocab = 320},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{64}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{128}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{4}>,
    feed::gated<gelu_tanh, hidden{128}> + feed::experts<count{4}, chosen{2}, hidden{96}>,
    per_layer_embedding{.width = 32, .vocab = 320},
    layer_scalar,
    logits::soft_cap{30}> {};

}  // namespace g4::test
