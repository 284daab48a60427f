// Patches of nothing.
// expect: g4: a tower begins with what it is shown: picture::any_aspect{...} for pictures, sound::waveform{...} for sounds. See the list of stages in policy/picture.h and policy/sound.h.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
#ifndef G4_WRONG
    picture::any_aspect{.side = 48},
#endif
    patches{.side = 48},
    embed::linear<width{64}>,
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
