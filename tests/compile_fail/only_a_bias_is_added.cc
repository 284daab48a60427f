// A linear map with a norm of queries.
// expect: g4: embed::linear takes a width and, where the checkpoint has one, biased: nothing else belongs to a linear map. See patch_dense in the checkpoint.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 48},
    patches{.side = 48},
#ifdef G4_WRONG
    embed::linear<width{64}, qk_norm>,
#else
    embed::linear<width{64}, biased>,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
