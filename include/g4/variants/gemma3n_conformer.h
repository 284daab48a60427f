/// The sound tower of Gemma 3n E2B and E4B.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4 {

/// Source: audio_config in config.json of google/gemma-3n-E2B and google/gemma-3n-E4B, which are equal.
struct gemma3n_conformer : tower<
    sound::waveform{.rate = 16'000},                      // [n]
    log_mel{.bins = 128, .window = 512, .emphasised = true},
    subsample{.first = 128, .second = 32, .eps = 1e-3f, .cumulative = true},
    embed::linear<width{1536}>,                           // [T/4, 1536]
    conformer<layers{12}, relative_attention{.heads = 8, .past = 13, .chunk = 0, .scaled_keys = false},
              light_conv{.side = 5}>,
    every{4},                                             // [T/16, 1536]
    into_text<norm::soft_and_hard, own_ids{.first = 262'272, .count = 128}>> {};

}  // namespace g4
