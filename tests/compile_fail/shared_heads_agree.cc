// A reuser with two key/value heads behind an owner with one.
// expect: g4: a layer that shares keys and values must have the key/value heads and head size of the layer that makes them. See head_dim and num_key_value_heads in config.json.
#include "g4/rule/rules.h"

#ifdef G4_WRONG
template struct g4::rule::shared_heads_agree<2, 1, 256, 256>;
#else
template struct g4::rule::shared_heads_agree<1, 1, 256, 256>;
#endif
