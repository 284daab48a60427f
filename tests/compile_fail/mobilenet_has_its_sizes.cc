// A MobileNet of one size of planes: there are no two to be fused.
// expect: g4: mobilenet<...> needs channels in every block, heads and sizes in multi_query, which keeps as many channels as it is given, a convolution in a bottleneck that halves, channels and a side in fused, and two to four blocks<...>: the last two are fused.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::square{.side = 32}, patches{.side = 1},
    mobilenet<conv_stem{.channels = 8},
              blocks<edge_residual{.channels = 8, .stride = 2}>,
#ifndef G4_WRONG
              blocks<bottleneck{.channels = 8, .start = 3, .stride = 2}>,
#endif
              fused{.channels = 16, .side = 2}>,
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
