/// The sound tower of Gemma 4 E2B and E4B.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4 {

/// Source: audio_config in config.json of google/gemma-4-E2B and google/gemma-4-E4B, which are equal.
struct gemma4_conformer : tower<
    sound::waveform{.rate = 16'000},                      // [n]
    log_mel{.bins = 128},                                 // [T, 128]
    subsample{.first = 128, .second = 32},                // [T/4, 1024]
    embed::linear<width{1024}>,
    conformer<layers{12}, relative_attention{.heads = 8}, light_conv{.side = 5}, clipped_linears>,
    embed::linear<width{1536}, biased>,                   // [T/4, 1536]
    into_text<norm::unweighted>> {};                      // [T/4, D of the text]

}  // namespace g4
