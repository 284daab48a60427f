// Ten bands, which cannot be halved twice.
// expect: g4: subsample{...} halves the bands twice, so log_mel{.bins} must be a multiple of 4. See subsampling_conv_channels in audio_config: as many bands as the first convolution has channels.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    sound::waveform{.rate = 16'000},
#ifdef G4_WRONG
    log_mel{.bins = 10},
#else
    log_mel{.bins = 8},
#endif
    subsample{.first = 8, .second = 3},
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
