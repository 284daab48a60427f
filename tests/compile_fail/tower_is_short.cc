// Layer after layer, each as a stage of its own.
// expect: g4: a tower has at least one stage and at most tower_spec::most_stages; raise that in spec/tower.h if a longer one appears. A stack of equal layers is one stage.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 48},
    patches{.side = 48},
#ifdef G4_WRONG
    norm::layer, norm::layer, norm::layer, norm::layer, norm::layer, norm::layer, norm::layer, norm::layer,
    norm::layer, norm::layer, norm::layer, norm::layer, norm::layer, norm::layer,
#endif
    into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
