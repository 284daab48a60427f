// Five heads in rows of 12 numbers.
// expect: g4: a conformer's heads share its width evenly, and half of it are sines of distances, half cosines: the width in front of it must be even and a multiple of relative_attention{.heads}.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    sound::waveform{.rate = 16'000},
    log_mel{.bins = 8},
    subsample{.first = 8, .second = 3},
    embed::linear<width{12}>,
#ifdef G4_WRONG
    conformer<layers{2}, relative_attention{.heads = 5}, light_conv{.side = 3}>,
#else
    conformer<layers{2}, relative_attention{.heads = 3}, light_conv{.side = 3}>,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
