// A local layer without a window.
// expect: g4: a local layer needs a window, so that it knows which keys to keep: window{keys} (causal, itself included) or each_side{keys} (encoder). See sliding_window in config.json.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{16}>,
#ifdef G4_WRONG
    repeat<times<2, local<head{16}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
#else
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
#endif
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
static_assert(Variant<tried>);
