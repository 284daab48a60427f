/// Gemma 3n E2B: text, pictures and sound.
#pragma once

#include "g4/model/multimodal.h"
#include "g4/variants/gemma3n_conformer.h"
#include "g4/variants/mobilenet_v5_300m.h"

namespace g4 {

/// Source: config.json of google/gemma-3n-E2B. Layers 20 to 29 read the keys and values of layers 18 (local) and 19 (global).
struct gemma3n_e2b_text : transformer<
    shape{.layers = 30, .width = 2048, .vocab = 262'400},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 8, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<4, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f}>>>,
    share_kv<last{10}>,
    feed::gated<gelu_tanh, hidden{8192}, sparse{0.95f, 10}>,
    altup{.streams = 4},
    laurel{.rank = 64},
    per_layer_embedding{.width = 256, .vocab = 262'144},
    logits::soft_cap{30}> {};

/// Text, pictures and sound; `gemma3n_e2b::text` is its text alone.
///
/// Source: config.json and the processor of google/gemma-3n-E2B.
struct gemma3n_e2b : multimodal<
    gemma3n_e2b_text,
    sees<mobilenet_v5_300m, soft_tokens{.most = 256}, marked{"<start_of_image>", "<image_soft_token>", "<end_of_image>"}>,
    hears<gemma3n_conformer, soft_tokens{.most = 188, .filled_up = true},
          marked{"<start_of_audio>", "<audio_soft_token>", "<end_of_audio>"}>,
    turns::gemma3n> {};

}  // namespace g4
