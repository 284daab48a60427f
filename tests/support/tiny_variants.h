/// Small models that between them have every policy of the family.
#pragma once

#include "g4/model/transformer.h"

namespace g4::test {

/// Gemma 3: 1 + weight, linear rope scaling, a query scale that is not the head size's.
struct tiny_gemma3 : transformer<
    shape{.layers = 7, .width = 48, .vocab = 97},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{24}>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{80}>,
    logits::uncapped> {};

/// Gemma 4 as E2B: per-layer inputs, shared keys and values, doubled feed-forwards, two head sizes.
struct tiny_e2b : transformer<
    shape{.layers = 8, .width = 48, .vocab = 101},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{4}>,
    feed::gated<gelu_tanh, hidden{64}, doubled_where_shared>,
    per_layer_embedding{.width = 8, .vocab = 101},
    layer_scalar,
    logits::soft_cap{30}> {};

/// Gemma 4 as 26B-A4B: experts, keys as values, fewer global heads.
struct tiny_a4b : transformer<
    shape{.layers = 6, .width = 48, .vocab = 89},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, key_value_heads{1}, key_is_value, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{64}> + feed::experts<count{6}, chosen{2}, hidden{80}>,
    layer_scalar,
    image_mask::bidirectional_on_local,
    logits::soft_cap{20}> {};

/// Gemma 3n: alternating updates, LAuReL, activation sparsity, layers of different widths.
struct tiny_3n : transformer<
    shape{.layers = 7, .width = 32, .vocab = 83},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<2, local<head{12}, window{8}, rope{.theta = 1e4f}>>, times<1, global<head{12}, rope{.theta = 1e6f}>>>,
    share_kv<last{3}>,
    feed::gated<gelu_tanh, hidden{64, 3}, hidden{48}, sparse{0.95f, 2}, sparse{0.5f, 1}>,
    per_layer_embedding{.width = 8, .vocab = 83},
    altup{4},
    laurel{8},
    logits::soft_cap{30}> {};

/// Gemma 3 with heads that a cache in blocks of 32 can hold.
struct tiny_wide_heads : transformer<
    shape{.layers = 6, .width = 48, .vocab = 97},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, scaled_by_root_of{32}>,
    repeat<times<2, local<head{32}, window{8}, rope{.theta = 1e4f}>>, times<1, global<head{32}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{80}>,
    logits::uncapped> {};

/// Biases, an untied head, a cap on the scores.
struct tiny_odd : transformer<
    shape{.layers = 5, .width = 40, .vocab = 71},
    embed::untied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 3, .key_value = 1}, qk_norm, v_norm, unscaled, biased, score_cap{5}>,
    repeat<times<2, local<head{10}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{20}, key_is_value, partial_rope{.theta = 1e6f, .fraction = 0.5f}>>>,
    feed::gated<gelu_tanh, hidden{52}>,
    logits::uncapped> {};

/// An encoder.
struct tiny_encoder : transformer<
    shape{.layers = 4, .width = 48, .vocab = 97},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 3, .key_value = 1}, qk_norm, scaled_by_root_of{16}>,
    repeat<times<1, local<head{16}, each_side{4}, rope{.theta = 1e4f}>>, times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{72}>,
    mask::bidirectional,
    logits::uncapped> {};

}  // namespace g4::test
