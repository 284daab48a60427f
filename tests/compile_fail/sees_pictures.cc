// A model that sees with its ears.
// expect: g4: sees<...> takes a tower that begins with a picture, hears<...> one that begins with a sound. The two were exchanged.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    sees<tried_frames, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
#else
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
#endif
    turns::gemma4<>> {};
static_assert(tried::can_see && !tried::can_hear);
