#include "g4/variants/gemma3_4b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma3_4b::text);
G4_INSTANTIATE_SENSES(gemma3_4b);
