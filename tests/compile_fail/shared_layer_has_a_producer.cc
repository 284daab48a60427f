// All six layers share, so no layer makes the keys and values.
// expect: g4: a layer that shares keys and values needs an earlier layer of its own reach that makes them: share_kv<last{n}> must leave one local and one global layer. See num_kv_shared_layers and layer_types in config.json.
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
    share_kv<last{6}>,
#else
    share_kv<last{3}>,
#endif
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
static_assert(Variant<tried>);
