// Places that are to be filled with a row that the tower does not have.
// expect: g4: soft_tokens{.filled_up} puts the row of the vocabulary's last token where a tower makes none, so the tower's own_ids must end where shape{.vocab} does. See vocab_offset and vocab_size in audio_config.
#include "g4/model/multimodal.h"

using namespace g4;

struct tried_text : transformer<
    shape{.layers = 6, .width = 64, .vocab = 256},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, unscaled>,
    repeat<times<2, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{128}>,
    logits::uncapped> {};
#ifdef G4_WRONG
inline constexpr own_ids last_ids{.first = 240, .count = 8};
#else
inline constexpr own_ids last_ids{.first = 240, .count = 16};
#endif
struct tried_frames : tower<sound::waveform{.rate = 16'000}, frames{.samples = 48},
                            into_text<norm::soft_and_hard, last_ids>> {};

struct tried : multimodal<
    tried_text,
    hears<tried_frames, soft_tokens{.most = 70, .filled_up = true},
          marked{"<start_of_audio>", "<audio_soft_token>", "<end_of_audio>"}>,
    turns::gemma3n> {};
static_assert(Multimodal<tried>);
