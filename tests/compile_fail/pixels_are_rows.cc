// A MobileNet behind patches of four pixels.
// expect: g4: mobilenet<...> is given pixels, rows of three colours: put patches{.side = 1} in front of it.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::square{.side = 32},
#ifdef G4_WRONG
    patches{.side = 2},
#else
    patches{.side = 1},
#endif
    mobilenet<conv_stem{.channels = 8},
              blocks<edge_residual{.channels = 8, .stride = 2}>,
              blocks<bottleneck{.channels = 8, .start = 3, .stride = 2}>,
              fused{.channels = 16, .side = 2}>,
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
