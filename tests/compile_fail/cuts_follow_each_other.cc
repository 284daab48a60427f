// A stage that would end before it begins.
// expect: g4: a pipeline is cut before a layer other than the first, and every cut stands behind the one before it: pipeline<cut_before<10>, cut_before<20>>.
#include "../support/tiny_variants.h"
#include "g4/model/sharded.h"

using namespace g4;

#ifdef G4_WRONG
using tried = sharded<test::tiny_gemma3, pipeline<cut_before<4>, cut_before<2>>>;
#else
using tried = sharded<test::tiny_gemma3, pipeline<cut_before<2>, cut_before<4>>>;
#endif
static_assert(tried::plan::ranks == 3 && tried::of_stage[1].has(3) && !tried::of_stage[1].has(4));
