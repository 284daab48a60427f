// Runs of hidden widths that cover five of six layers.
// expect: g4: every layer needs a feed-forward width: hidden{width} for all layers, or runs of hidden{width, layers} that cover them. See intermediate_size in config.json.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{16}>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
#ifdef G4_WRONG
    feed::gated<gelu_tanh, hidden{128, 4}, hidden{256, 1}>,
#else
    feed::gated<gelu_tanh, hidden{128, 4}, hidden{256, 2}>,
#endif
    logits::uncapped> {};
static_assert(Variant<tried>);
