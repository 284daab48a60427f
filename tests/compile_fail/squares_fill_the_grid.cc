// Squares of two patches in a picture whose sides are multiples of three.
// expect: g4: the sides of a picture, counted in patches, must be multiples of mean_pooled{side}, so that no patch is left over. See pooling_kernel_size in vision_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 12}, patches{.side = 4}, embed::linear<width{32}>,
#ifdef G4_WRONG
    mean_pooled{.side = 2},
#else
    mean_pooled{.side = 3},
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
