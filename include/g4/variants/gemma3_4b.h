/// Gemma 3, 4 billion parameters: text and pictures.
#pragma once

#include "g4/model/multimodal.h"
#include "g4/variants/siglip_so400m.h"

namespace g4 {

/// Source: config.json of google/gemma-3-4b-pt.
struct gemma3_4b_text : transformer<
    shape{.layers = 34, .width = 2560, .vocab = 262'208},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 8, .key_value = 4}, qk_norm, scaled_by_root_of{256}>,
    repeat<times<5, local<head{256}, window{1024}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{10'240}>,
    image_mask::bidirectional,
    logits::uncapped> {};

/// Text and pictures; `gemma3_4b::text` is its text alone.
///
/// Source: config.json and the processor of google/gemma-3-4b-pt.
struct gemma3_4b : multimodal<
    gemma3_4b_text,
    sees<siglip_so400m, soft_tokens{.most = 256}, marked{"<start_of_image>", "<image_soft_token>", "<end_of_image>"}>,
    turns::gemma3> {};

}  // namespace g4
