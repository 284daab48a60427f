// A linear map to nowhere.
// expect: g4: a stage of a tower needs its size: a side in pixels, a number of samples, a width or a count of places, each at least 1. See vision_config and audio_config in config.json.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    sound::waveform{.rate = 16'000},
    frames{.samples = 640},
#ifdef G4_WRONG
    embed::linear<width{}>,
#else
    embed::linear<width{64}>,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
