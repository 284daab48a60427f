// A tower with an embedding of no ids.
// expect: g4: into_text<norm::soft_and_hard, own_ids{first, count}> stands for count ids of the vocabulary from first on, at least one, and never for 0, the padding. See vocab_offset and vocab_size in vision_config and audio_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 12}, patches{.side = 4},
#ifdef G4_WRONG
    into_text<norm::soft_and_hard, own_ids{.first = 200}>
#else
    into_text<norm::soft_and_hard, own_ids{.first = 200, .count = 4}>
#endif
    > {};
static_assert(Tower<tried>);
