#include "g4/variants/gemma4_e2b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma4_e2b::text);
G4_INSTANTIATE_SENSES(gemma4_e2b);
