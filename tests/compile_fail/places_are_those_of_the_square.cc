// Nine patches, and rows for eight.
// expect: g4: positions::learned{places} has one row for each patch of picture::square: as many as (side / patch side) squared. See image_size and patch_size in vision_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::square{.side = 12}, patches{.side = 4}, embed::linear<width{32}>,
#ifdef G4_WRONG
    positions::learned{8},
#else
    positions::learned{9},
#endif
    into_text<norm::one_plus>> {};
static_assert(Tower<tried>);
