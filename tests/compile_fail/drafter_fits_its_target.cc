// A drafter made for a wider target, as its own list says.
// expect: g4: a drafter continues its target's hidden state, so its backbone width must be the target's width. See backbone_hidden_size in the assistant's config.json.
#include "g4/model/drafter.h"

namespace g4 {

struct target : transformer<
    shape{.layers = 4, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>, times<1, global<head{32}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
    layer_scalar> {};

#ifdef G4_WRONG
inline constexpr drafts_for of_its_width{.width = 128};
#else
inline constexpr drafts_for of_its_width{.width = 64};
#endif

struct assistant : drafter<target,
    shape{.layers = 2, .width = 32, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>, times<1, global<head{32}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{64}>,
    layer_scalar,
    of_its_width> {};

static_assert(assistant::producer(0) == 2 && assistant::producer(1) == 3);

}  // namespace g4
