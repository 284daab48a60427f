// Among the parts of a conformer, a word of a text's attention.
// expect: g4: conformer<...> takes layers{...}, relative_attention{...}, light_conv{...} and clipped_linears, and nothing else. See policy/conformer.h.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    sound::waveform{.rate = 16'000},
    log_mel{.bins = 8},
    subsample{.first = 8, .second = 3},
    embed::linear<width{12}>,
#ifdef G4_WRONG
    conformer<layers{2}, relative_attention{.heads = 2}, light_conv{.side = 3}, qk_norm>,
#else
    conformer<layers{2}, relative_attention{.heads = 2}, light_conv{.side = 3}, clipped_linears>,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
