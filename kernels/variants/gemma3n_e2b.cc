#include "g4/variants/gemma3n_e2b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3n_e2b::text);
