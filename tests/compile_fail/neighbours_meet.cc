// Positions of columns and rows for a sound, whose rows lie in the order of time.
// expect: g4: two neighbouring stages of a tower do not meet: what the one gives is nothing that the next takes. Give them in the order data meets them; policy/flow.h says what passes between stages.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    sound::waveform{.rate = 16'000},
    frames{.samples = 640},
#ifdef G4_WRONG
    positions::per_axis{1120},
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
