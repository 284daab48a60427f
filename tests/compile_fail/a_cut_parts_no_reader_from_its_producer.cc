// Layers 4 to 7 read the keys and values of layers 2 and 3, which a cut before layer 3 would leave on another rank.
// expect: g4: this cut parts a layer from the one whose keys and values it reads. A pipeline can be cut before the first layer that is read by others, LastPossible here, or before any earlier one. g4 inspect --cuts shows them.
// expect: a_cut_parts_no_reader_from_its_producer<3, 2>
#include "../support/tiny_variants.h"
#include "g4/model/sharded.h"

using namespace g4;

#ifdef G4_WRONG
using tried = sharded<test::tiny_e2b, pipeline<cut_before<3>>>;
#else
using tried = sharded<test::tiny_e2b, pipeline<cut_before<2>>>;
#endif
static_assert(tried::plan::ranks == 2 && tried::of_stage[0].has(1) && tried::of_stage[1].has(2));
static_assert(Shared<tried>);
