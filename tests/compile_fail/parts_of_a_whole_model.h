// What tests of whole models are made of: a text, and a front end for pictures and one for sounds.
#pragma once

#include "g4/model/multimodal.h"

using namespace g4;

struct tried_text : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, unscaled>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
struct tried_patches : tower<picture::any_aspect{.side = 12}, patches{.side = 12}, embed::linear<width{40}>,
                             positions::per_axis{72}, into_text<norm::unweighted>> {};
struct tried_frames : tower<sound::waveform{.rate = 16'000}, frames{.samples = 48}, into_text<norm::unweighted>> {};
