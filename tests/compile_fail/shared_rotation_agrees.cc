// The last layer turns its queries faster than its producer turned the keys.
// expect: g4: a layer that shares keys and values must rotate its queries as the layer that makes them rotates its keys. See rope_parameters in config.json.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
    shape{.layers = 4, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, unscaled>,
    repeat<times<1, global<head{16}, rope{.theta = 1e6f}>>, times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
#ifdef G4_WRONG
           times<1, local<head{16}, window{8}, rope{.theta = 1e5f}>>>,
#else
           times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>>,
#endif
    share_kv<last{1}>,
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
static_assert(Variant<tried>);
