// The second block of a size of planes halves them once more.
// expect: g4: the first block of blocks<...> has .stride = 2 and no other has: a new size of planes begins there. See block_args in vision_config.model_args, or the table of the architecture.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::square{.side = 32}, patches{.side = 1},
    mobilenet<conv_stem{.channels = 8},
              blocks<edge_residual{.channels = 8, .stride = 2},
#ifdef G4_WRONG
                     edge_residual{.channels = 8, .stride = 2}>,
#else
                     edge_residual{.channels = 8}>,
#endif
              blocks<bottleneck{.channels = 8, .start = 3, .stride = 2}>,
              fused{.channels = 16, .side = 2}>,
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
