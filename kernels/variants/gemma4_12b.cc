#include "g4/variants/gemma4_12b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma4_12b::text);
G4_INSTANTIATE_SENSES(gemma4_12b);
