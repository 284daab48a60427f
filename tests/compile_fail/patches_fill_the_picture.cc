// Patches of 20 pixels in a picture whose sides are multiples of 48.
// expect: g4: the sides of a picture must be multiples of a patch's side, so that no pixel is left over. See patch_size and pooling_kernel_size in vision_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 48},
#ifdef G4_WRONG
    patches{.side = 20},
#else
    patches{.side = 16},
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
