// An activation among the blocks of a MobileNet.
// expect: g4: mobilenet<...> takes conv_stem{...}, then blocks<...> of edge_residual{...}, bottleneck{...}, multi_query{...}, times<...> and in_turn<...> of these, and at its end fused{...}: see policy/mobilenet.h.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::square{.side = 32}, patches{.side = 1},
    mobilenet<conv_stem{.channels = 8},
#ifdef G4_WRONG
              gelu_tanh,
#endif
              blocks<edge_residual{.channels = 8, .stride = 2}>,
              blocks<bottleneck{.channels = 8, .start = 3, .stride = 2}>,
              fused{.channels = 16, .side = 2}>,
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
