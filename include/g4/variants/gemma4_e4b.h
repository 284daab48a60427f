/// Gemma 4 E4B: text, pictures and sound.
#pragma once

#include "g4/model/multimodal.h"
#include "g4/variants/gemma4_conformer.h"
#include "g4/variants/gemma4_vit_small.h"

namespace g4 {

/// Source: config.json of google/gemma-4-E4B. Layers 24 to 41 read the keys and values of layers 22 (local) and 23 (global).
struct gemma4_e4b_text : transformer<
    shape{.layers = 42, .width = 2560, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 8, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<5, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    share_kv<last{18}>,
    feed::gated<gelu_tanh, hidden{10'240}>,
    per_layer_embedding{.width = 256, .vocab = 262'144},
    layer_scalar,
    logits::soft_cap{30}> {};

/// Text, pictures and sound; `gemma4_e4b::text` is its text alone.
///
/// Source: config.json and the processor of google/gemma-4-E4B.
struct gemma4_e4b : multimodal<
    gemma4_e4b_text,
    sees<gemma4_vit_small, soft_tokens{.most = 280}, marked{"<|image>", "<|image|>", "<image|>"}>,
    hears<gemma4_conformer, soft_tokens{.most = 750}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
    turns::gemma4<turns::gemma4_form{.empty_thought = false}>> {};

}  // namespace g4
