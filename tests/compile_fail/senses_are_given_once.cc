// A model that has no form of conversation.
// expect: g4: multimodal<...> takes sees<...> and hears<...> at most once each and turns::... exactly once, so that a picture, a sound and a conversation each have one way in.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>> {};
#else
    sees<tried_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
    turns::gemma4<>> {};
#endif
static_assert(Multimodal<tried>);
