#include "g4/variants/gemma3n_e4b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma3n_e4b::text);
G4_INSTANTIATE_SENSES(gemma3n_e4b);
