#include "g4/variants/gemma4_26b_a4b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma4_26b_a4b::text);
