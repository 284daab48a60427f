/// Gemma 4 E2B: text, pictures and sound.
#pragma once

#include "g4/model/multimodal.h"
#include "g4/variants/gemma4_conformer.h"
#include "g4/variants/gemma4_vit_small.h"

namespace g4 {

/// Source: config.json of google/gemma-4-E2B. Layers 15 to 34 read the keys and values of layers 13 (local) and 14 (global).
struct gemma4_e2b_text : transformer<
    shape{.layers = 35, .width = 1536, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 8, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<4, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{20}>,
    feed::gated<gelu_tanh, hidden{6144}, doubled_where_shared>,
    per_layer_embedding{.width = 256, .vocab = 262'144},
    layer_scalar,
    logits::soft_cap{30}> {};

/// Text, pictures and sound; `gemma4_e2b::text` is its text alone.
///
/// Source: config.json and the processor of google/gemma-4-E2B.
struct gemma4_e2b : multimodal<
    gemma4_e2b_text,
    sees<gemma4_vit_small, soft_tokens{.most = 280}, marked{"<|image>", "<|image|>", "<image|>"}>,
    hears<gemma4_conformer, soft_tokens{.most = 750}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
    turns::gemma4<turns::gemma4_form{.empty_thought = false}>> {};

}  // namespace g4
