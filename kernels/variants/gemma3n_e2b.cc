#include "g4/variants/gemma3n_e2b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma3n_e2b::text);
G4_INSTANTIATE_SENSES(gemma3n_e2b);
