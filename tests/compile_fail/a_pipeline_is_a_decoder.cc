// An encoder reads a text at once and has no logits.
// expect: g4: drafters and encoders are not cut into stages. See docs/ranks.md.
#include "../support/tiny_variants.h"
#include "g4/model/sharded.h"

using namespace g4;

#ifdef G4_WRONG
using tried = sharded<test::tiny_encoder, pipeline<cut_before<2>>>;
#else
using tried = sharded<test::tiny_gemma3, pipeline<cut_before<2>>>;
#endif
static_assert(tried::spec.stages == 2);
