#include "g4/variants/gemma4_31b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma4_31b::text);
G4_INSTANTIATE_SENSES(gemma4_31b);
