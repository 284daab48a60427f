// A picture that may take no rows.
// expect: g4: soft_tokens{.most} says how many rows of a prompt one picture or sound may take, at least 1. See max_soft_tokens in the preprocessor's configuration.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    sees<tried_patches, soft_tokens{}, marked{"<|image>", "<|image|>", "<image|>"}>,
#else
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
#endif
    turns::gemma4<>> {};
static_assert(Multimodal<tried>);
