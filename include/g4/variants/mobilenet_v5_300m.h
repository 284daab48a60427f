/// The picture tower of Gemma 3n.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4 {

/// MobileNetV5 with 300 million parameters: 84 blocks, and the two last sizes of planes fused.
///
/// Source: mobilenetv5_300m_enc of timm 1.0.31, and vision_config in config.json of google/gemma-3n-E2B and -E4B, which are
/// equal.
struct mobilenet_v5_300m : tower<
    picture::square{.side = 768},                                                                 // [768, 768, 3]
    patches{.side = 1},                                                                           // [768², 3]
    mobilenet<
        conv_stem{.channels = 64},                                                                // [384², 64]
        blocks<edge_residual{.channels = 128, .stride = 2, .wider = 4},                           // [192², 128]
               times<2, edge_residual{.channels = 128, .wider = 4}>>,
        blocks<bottleneck{.channels = 256, .start = 3, .middle = 5, .stride = 2, .wider = 6},     // [96², 256]
               in_turn<2, bottleneck{.channels = 256, .start = 5, .wider = 4},
                          bottleneck{.channels = 256, .start = 3, .wider = 4}>>,
        blocks<bottleneck{.channels = 640, .start = 5, .middle = 5, .stride = 2, .wider = 6},     // [48², 640]
               times<7, bottleneck{.channels = 640, .start = 5, .wider = 4}>,
               bottleneck{.channels = 640, .wider = 1},
               in_turn<14, multi_query{.channels = 640, .heads = 12, .size = 64, .key_stride = 2},
                           bottleneck{.channels = 640, .wider = 2}>>,
        blocks<bottleneck{.channels = 1280, .start = 5, .middle = 5, .stride = 2, .wider = 6},    // [24², 1280]
               in_turn<19, multi_query{.channels = 1280, .heads = 16, .size = 96},
                           bottleneck{.channels = 1280, .wider = 2}>>,
        fused{.channels = 2048, .side = 16}>,                                                     // [256, 2048]
    scaled_by_root_of_width,
    into_text<norm::soft_and_hard, own_ids{.first = 262'144, .count = 128}>> {};                  // [256, D of the text]

}  // namespace g4
