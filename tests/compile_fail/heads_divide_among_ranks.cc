// Four query heads cannot be whole on three ranks.
// expect: g4: query heads must be a multiple of the ranks, and key/value heads a multiple or a divisor of them, so that every rank holds whole heads. See num_attention_heads and num_key_value_heads in config.json.
#include "g4/model/sharded.h"
#include "g4/variants/gemma3_270m.h"

using namespace g4;

#ifdef G4_WRONG
using tried = sharded<gemma3_270m, tensor_parallel<3>>;
#else
using tried = sharded<gemma3_270m, tensor_parallel<4>>;
#endif
static_assert(tried::spec.query_heads == 1 && tried::spec.layer[0].key_value_heads == 1);
static_assert(Shared<tried> && !Shared<gemma3_270m>);
