// A drafter made for a wider target.
// expect: g4: a drafter continues its target's hidden state, so its backbone width must be the target's width. See backbone_hidden_size in the assistant's config.json.
#include "g4/rule/rules.h"

#ifdef G4_WRONG
template struct g4::rule::drafter_fits_its_target<2560, 1536>;
#else
template struct g4::rule::drafter_fits_its_target<1536, 1536>;
#endif
