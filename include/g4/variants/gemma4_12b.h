/// Gemma 4 12B: text, pictures and sound.
#pragma once

#include "g4/model/multimodal.h"

namespace g4 {

/// Source: config.json of google/gemma-4-12B.
struct gemma4_12b_text : transformer<
    shape{.layers = 48, .width = 3840, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 16, .key_value = 8}, qk_norm, v_norm, unscaled>,
    repeat<times<5, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{512}, key_value_heads{1}, key_is_value, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{15'360}>,
    layer_scalar,
    image_mask::bidirectional_on_local,
    logits::soft_cap{30}> {};

/// It has no picture tower: a patch goes straight in.
struct gemma4_patches : tower<
    picture::any_aspect{.side = 48},                      // [h, w, 3]
    patches{.side = 48},                                  // [P, 6912]
    norm::layer,
    embed::linear<width{3840}, biased>,                   // [P, 3840]
    norm::layer,
    positions::per_axis{1120},
    norm::layer,
    into_text<norm::unweighted>> {};                      // [P, D of the text]

/// Nor a sound tower: a stretch of 40 ms goes straight in.
struct gemma4_frames : tower<
    sound::waveform{.rate = 16'000},                      // [n]
    frames{.samples = 640},                               // [T, 640]
    into_text<norm::unweighted>> {};                      // [T, D of the text]

/// Source: config.json and the processor of google/gemma-4-12B.
struct gemma4_12b : multimodal<
    gemma4_12b_text,
    sees<gemma4_patches, soft_tokens{.most = 280}, marked{"<|image>", "<|image|>", "<image|>"}>,
    hears<gemma4_frames, soft_tokens{.most = 750}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
    turns::gemma4<>> {};

}  // namespace g4
