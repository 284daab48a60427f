/// Gemma 4 26B-A4B: text and pictures; a mixture of experts beside a dense feed-forward.
#pragma once

#include "g4/model/multimodal.h"
#include "g4/variants/gemma4_vit_large.h"

namespace g4 {

/// Source: config.json of google/gemma-4-26B-A4B.
struct gemma4_26b_a4b_text : transformer<
    shape{.layers = 30, .width = 2816, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 16, .key_value = 8}, qk_norm, v_norm, unscaled>,
    repeat<times<5, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, key_value_heads{2}, key_is_value, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{2112}> + feed::experts<count{128}, chosen{8}, hidden{704}>,
    layer_scalar,
    image_mask::bidirectional_on_local,
    logits::soft_cap{30}> {};

/// Text and pictures; `gemma4_26b_a4b::text` is its text alone.
///
/// Source: config.json and the processor of google/gemma-4-26B-A4B.
struct gemma4_26b_a4b : multimodal<
    gemma4_26b_a4b_text,
    sees<gemma4_vit_large, soft_tokens{.most = 280}, marked{"<|image>", "<|image|>", "<image|>"}>,
    turns::gemma4<>> {};

}  // namespace g4
