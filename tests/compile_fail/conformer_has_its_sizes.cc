// A conformer that says nothing of its convolution's reach.
// expect: g4: conformer<...> needs layers{n}, relative_attention{.heads = n} that sees at least itself, and light_conv{.side = n}. See num_hidden_layers, num_attention_heads and conv_kernel_size in audio_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    sound::waveform{.rate = 16'000},
    log_mel{.bins = 8},
    subsample{.first = 8, .second = 3},
    embed::linear<width{12}>,
#ifdef G4_WRONG
    conformer<layers{2}, relative_attention{.heads = 2}, light_conv{.side = 0}>,
#else
    conformer<layers{2}, relative_attention{.heads = 2}, light_conv{.side = 3}>,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
