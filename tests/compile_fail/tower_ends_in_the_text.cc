// A tower whose rows stay as wide as they are.
// expect: g4: a tower ends with into_text<...>, once, so that its rows are as wide as the text's. See embedding_projection in the checkpoint.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 48},
    patches{.side = 16},
#ifdef G4_WRONG
    embed::linear<width{64}, biased>> {};
#else
    embed::linear<width{64}, biased>,
    into_text<norm::unweighted>> {};
#endif
static_assert(Tower<tried>);
