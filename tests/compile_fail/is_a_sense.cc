// A tower where the way it is used belongs.
// expect: g4: behind its text, multimodal<...> takes sees<...>, hears<...> and turns::..., and nothing else. See policy/senses.h.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
    tried_text,
#ifdef G4_WRONG
    tried_patches,
#endif
    turns::gemma4<>> {};
static_assert(Multimodal<tried>);
