// A word of the text stack in a tower.
// expect: g4: this is not a stage of a tower. A stage has describe(tower_spec&) and out(in) for what it takes; see docs/how_to_add.md.
#include "g4/model/tower/tower.h"
#include "g4/policy/logits.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 48},
    patches{.side = 48},
#ifdef G4_WRONG
    logits::uncapped,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
