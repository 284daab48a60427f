/// The picture tower of the small Gemma 4.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4 {

/// The picture tower of Gemma 4 E2B and E4B.
///
/// Source: vision_config in config.json of google/gemma-4-E2B.
struct gemma4_vit_small : tower<
    picture::any_aspect{.side = 48},                      // [h, w, 3]
    patches{.side = 16},                                  // [P, 768]
    centred,
    embed::linear<width{768}>,                            // [P, 768]
    positions::per_axis{10'240},
    encoder<layers{16}, norm::sandwich<plain_weight>,
            attention<heads{.query = 12, .key_value = 12}, head{64}, qk_norm, v_norm, unscaled, rope_2d{.theta = 100}>,
            feed::gated<gelu_tanh, hidden{3072}>, clipped_linears>,
    mean_pooled{.side = 3},                               // [P / 9, 768]
    scaled_by_root_of_width,
    into_text<norm::unweighted>> {};                      // [P / 9, D of the text]

}  // namespace g4
