// A drafter whose heads are half the size of its target's.
// expect: g4: a drafter reads the keys and values of its target, so key/value heads and head sizes of its local and global layers must be the target's. See text_config in the assistant's config.json.
#include "g4/rule/rules.h"

#ifdef G4_WRONG
template struct g4::rule::drafter_reads_its_target<1, 1, 128, 256>;
#else
template struct g4::rule::drafter_reads_its_target<1, 1, 256, 256>;
#endif
