// A picture of 140 columns, and places for 72.
// expect: g4: a picture of one row of soft tokens must find a place for each: soft_tokens{.most} asks for more columns than positions::per_axis{places} has. See mm_posemb_size in vision_config.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    sees<tried_patches, soft_tokens{.most = 140}, marked{"<|image>", "<|image|>", "<image|>"}>,
#else
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
#endif
    turns::gemma4<>> {};
static_assert(Multimodal<tried>);
