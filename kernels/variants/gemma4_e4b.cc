#include "g4/variants/gemma4_e4b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma4_e4b::text);
