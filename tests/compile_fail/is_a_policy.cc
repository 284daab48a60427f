// A number where a policy belongs.
// expect: g4: this is not a policy. A policy names its slot and has describe(text_spec&); see docs/how_to_add.md.
#include "g4/model/transformer.h"

using namespace g4;

struct tried : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{16}>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
#ifdef G4_WRONG
    42,
#endif
    logits::uncapped> {};
static_assert(Variant<tried>);
