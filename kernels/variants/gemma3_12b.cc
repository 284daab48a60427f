#include "g4/variants/gemma3_12b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma3_12b::text);
G4_INSTANTIATE_SENSES(gemma3_12b);
