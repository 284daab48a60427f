/// The picture tower of Gemma 3.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4 {

/// Source: vision_config in config.json of google/gemma-3-4b-pt.
struct siglip_so400m : tower<
    picture::square{.side = 896},                         // [896, 896, 3]
    patches{.side = 14},                                  // [4096, 588]
    centred,
    embed::linear<width{1152}, biased>,                   // [4096, 1152]
    positions::learned{4096},
    encoder<layers{27}, norm::before<norm::layer_t{1e-6f}>,
            attention<heads{.query = 16, .key_value = 16}, head{72}, scaled_by_root_of{72}>,
            feed::plain<gelu_tanh, hidden{4304}>, biased>,
    norm::layer_t{1e-6f},
    mean_pooled{.side = 4},                               // [256, 1152]
    into_text<norm::one_plus>> {};                        // [256, D of the text]

}  // namespace g4
