#include "g4/variants/gemma3_27b.h"
#include "instantiate_senses.h"

G4_INSTANTIATE(gemma3_27b::text);
G4_INSTANTIATE_SENSES(gemma3_27b);
