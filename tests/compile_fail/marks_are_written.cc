// A picture without a token behind it.
// expect: g4: marked{before, each, behind} names the three tokens around a medium's rows; none may be empty. See boi_token_id, image_token_id and eoi_token_id in config.json.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", ""}>,
#else
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
#endif
    turns::gemma4<>> {};
static_assert(Multimodal<tried>);
