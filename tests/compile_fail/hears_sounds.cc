// A model that hears with its eyes.
// expect: g4: hears<...> takes a tower that begins with a sound, sees<...> one that begins with a picture. The two were exchanged.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    hears<tried_patches, soft_tokens{.most = 70}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
#else
    hears<tried_frames, soft_tokens{.most = 70}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
#endif
    turns::gemma4<>> {};
static_assert(!tried::can_see && tried::can_hear);
