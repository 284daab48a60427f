// A thousand layers.
// expect: g4: a model has at most max_layers layers; raise max_layers in spec/stack.h if a deeper one appears.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
#ifdef G4_WRONG
    shape{.layers = 1000, .width = 64, .vocab = 256},
#else
    shape{.layers = 6, .width = 64, .vocab = 256},
#endif
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{16}>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
static_assert(Variant<tried>);
