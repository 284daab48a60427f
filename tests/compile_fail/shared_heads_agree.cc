// A reuser with one key/value head behind an owner with two.
// expect: g4: a layer that shares keys and values must have the key/value heads and head size of the layer that makes them. See head_dim and num_key_value_heads in config.json.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
    shape{.layers = 4, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, unscaled>,
    repeat<times<1, global<head{16}, rope{.theta = 1e6f}>>, times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
#ifdef G4_WRONG
           times<1, local<head{16}, key_value_heads{1}, window{8}, rope{.theta = 1e4f}>>>,
#else
           times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>>,
#endif
    share_kv<last{1}>,
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
static_assert(Variant<tried>);
