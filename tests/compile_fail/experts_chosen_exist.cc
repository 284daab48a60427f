// Nine experts chosen out of eight.
// expect: g4: a router chooses at least one expert and at most all of them. See top_k_experts and num_experts in config.json.
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
    feed::gated<gelu_tanh, hidden{128}> + feed::experts<count{8}, chosen{9}, hidden{32}>,
#else
    feed::gated<gelu_tanh, hidden{128}> + feed::experts<count{8}, chosen{2}, hidden{32}>,
#endif
    logits::uncapped> {};
static_assert(Variant<tried>);
