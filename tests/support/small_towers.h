/// A tower of each kind that is released, small enough to compute in a moment.
#pragma once

#include "g4/model/tower/tower.h"

namespace g4::test {

struct any_aspect_eyes
    : tower<picture::any_aspect{.side = 4}, patches{.side = 2}, centred, embed::linear<width{10}>,
            positions::per_axis{7},
            encoder<
                layers{2}, norm::sandwich<plain_weight>,
                attention<heads{.query = 4, .key_value = 2}, head{8}, qk_norm, v_norm, unscaled, rope_2d{.theta = 30}>,
                feed::gated<gelu_tanh, hidden{14}>, clipped_linears>,
            mean_pooled{.side = 2}, scaled_by_root_of_width, standardised, into_text<norm::unweighted>> {};
struct square_eyes : tower<picture::square{.side = 8}, patches{.side = 2}, centred, embed::linear<width{12}, biased>,
                           positions::learned{16},
                           encoder<layers{2}, norm::before<norm::layer_t{1e-6f}>,
                                   attention<heads{.query = 3, .key_value = 3}, head{4}, scaled_by_root_of{4}>,
                                   feed::plain<gelu_tanh, hidden{20}>, biased>,
                           norm::layer_t{1e-6f}, mean_pooled{.side = 2}, into_text<norm::one_plus>> {};
struct straight_eyes
    : tower<picture::any_aspect{.side = 4}, patches{.side = 4}, norm::layer, embed::linear<width{16}, biased>,
            norm::layer, positions::per_axis{7}, norm::layer, into_text<norm::unweighted>> {};
struct convolved_eyes
    : tower<picture::square{.side = 16}, patches{.side = 1},
            mobilenet<conv_stem{.channels = 8}, blocks<edge_residual{.channels = 8, .stride = 2, .wider = 2}>,
                      blocks<bottleneck{.channels = 8, .start = 3, .middle = 5, .stride = 2, .wider = 2},
                             in_turn<2, multi_query{.channels = 8, .heads = 2, .size = 4, .key_stride = 2},
                                     bottleneck{.channels = 8, .wider = 1}>>,
                      fused{.channels = 16, .side = 2}>,
            scaled_by_root_of_width, into_text<norm::soft_and_hard, own_ids{.first = 20, .count = 4}>> {};
struct conformer_ears : tower<sound::waveform{.rate = 16'000}, log_mel{.bins = 8}, subsample{.first = 8, .second = 3},
                              embed::linear<width{12}>,
                              conformer<layers{2}, relative_attention{.heads = 2, .past = 3, .ahead = 2, .chunk = 4},
                                        light_conv{.side = 3}, clipped_linears>,
                              embed::linear<width{14}, biased>, into_text<norm::unweighted>> {};
struct cumulative_ears
    : tower<sound::waveform{.rate = 16'000}, log_mel{.bins = 8, .window = 512, .emphasised = true},
            subsample{.first = 5, .second = 3, .eps = 1e-3f, .cumulative = true}, embed::linear<width{12}>,
            conformer<layers{2}, relative_attention{.heads = 2, .past = 4, .chunk = 0, .scaled_keys = false},
                      light_conv{.side = 3}>,
            every{3}, into_text<norm::soft_and_hard, own_ids{.first = 20, .count = 4}>> {};
struct framed_ears : tower<sound::waveform{.rate = 16'000}, frames{.samples = 10}, into_text<norm::unweighted>> {};

}  // namespace g4::test
