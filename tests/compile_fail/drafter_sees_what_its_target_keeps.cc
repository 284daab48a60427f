// A drafter that looks twice as far back as its target keeps keys.
// expect: g4: a drafter reads the keys of its target as the target's last local and global layers keep them, so windows and ropes must be theirs. See sliding_window and rope_parameters in the assistant's config.json.
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
inline constexpr window of_local_layers{16};
#else
inline constexpr window of_local_layers{8};
#endif

struct assistant : drafter<target,
    shape{.layers = 2, .width = 32, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, of_local_layers, rope{.theta = 1e4f}>>, times<1, global<head{32}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{64}>,
    layer_scalar> {};

static_assert(assistant::producer(0) == 2 && assistant::producer(1) == 3);

}  // namespace g4
