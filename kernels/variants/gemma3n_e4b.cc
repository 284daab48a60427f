#include "g4/variants/gemma3n_e4b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3n_e4b::text);
