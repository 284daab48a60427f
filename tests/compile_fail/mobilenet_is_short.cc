// Forty-two entries of blocks, one by one.
// expect: g4: a mobilenet<...> has at most stage::mobilenet::most_entries different blocks in a row; raise that in spec/mobilenet.h if a longer one appears. Blocks in times<...> and in_turn<...> count once.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::square{.side = 32}, patches{.side = 1},
    mobilenet<conv_stem{.channels = 8},
              blocks<edge_residual{.channels = 8, .stride = 2},
#ifdef G4_WRONG
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3},
                     edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3}>,
#else
                     in_turn<20, edge_residual{.channels = 8, .side = 1}, edge_residual{.channels = 8, .side = 3}>>,
#endif
              blocks<bottleneck{.channels = 8, .start = 3, .stride = 2}>,
              fused{.channels = 16, .side = 2}>,
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
