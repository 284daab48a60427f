/// The picture tower of the large Gemma 4.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4 {

/// The picture tower of Gemma 4 26B-A4B and 31B.
///
/// Source: vision_config in config.json of google/gemma-4-31B.
struct gemma4_vit_large : tower<
    picture::any_aspect{.side = 48},                      // [h, w, 3]
    patches{.side = 16},                                  // [P, 768]
    centred,
    embed::linear<width{1152}>,                           // [P, 1152]
    positions::per_axis{10'240},
    encoder<layers{27}, norm::sandwich<plain_weight>,
            attention<heads{.query = 16, .key_value = 16}, head{72}, qk_norm, v_norm, unscaled, rope_2d{.theta = 100}>,
            feed::gated<gelu_tanh, hidden{4304}>>,
    mean_pooled{.side = 3},                               // [P / 9, 1152]
    scaled_by_root_of_width,
    standardised,
    into_text<norm::unweighted>> {};                      // [P / 9, D of the text]

}  // namespace g4
