// A model without a text.
// expect: g4: multimodal<...> begins with its text, a type made of transformer<...>, because towers end in its rows. See variants/gemma4_12b.h.
#include "parts_of_a_whole_model.h"

struct tried : multimodal<
#ifdef G4_WRONG
    tried_patches,
#else
    tried_text,
#endif
    turns::gemma4<>> {};
static_assert(Multimodal<tried>);
