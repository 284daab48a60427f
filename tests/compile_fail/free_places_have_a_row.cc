// Places that are to be filled with a row that the tower does not have.
// expect: g4: soft_tokens{.filled_up} puts the row of the vocabulary's last token where a tower makes none, so the tower's own_ids must end where shape{.vocab} does. See vocab_offset and vocab_size in audio_config.
#include "parts_of_a_whole_model.h"

#ifdef G4_WRONG
inline constexpr own_ids last_ids{.first = 240, .count = 8};
#else
inline constexpr own_ids last_ids{.first = 240, .count = 16};
#endif
struct counted_frames : tower<sound::waveform{.rate = 16'000}, frames{.samples = 48},
                              into_text<norm::soft_and_hard, last_ids>> {};

struct tried : multimodal<
    tried_text,
    hears<counted_frames, soft_tokens{.most = 70, .filled_up = true},
          marked{"<start_of_audio>", "<audio_soft_token>", "<end_of_audio>"}>,
    turns::gemma3n> {};
static_assert(Multimodal<tried>);
