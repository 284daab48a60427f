// Two windows: the last layer would look further back than its producer keeps.
// expect: g4: a layer that shares keys and values must have the window of the layer that makes them, which is the last of its reach, because no other keys are kept. See sliding_window and layer_types in config.json.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
    shape{.layers = 4, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, unscaled>,
    repeat<times<1, global<head{16}, rope{.theta = 1e6f}>>, times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
#ifdef G4_WRONG
           times<1, local<head{16}, window{16}, rope{.theta = 1e4f}>>>,
#else
           times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>>,
#endif
    share_kv<last{1}>,
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
static_assert(Variant<tried>);
