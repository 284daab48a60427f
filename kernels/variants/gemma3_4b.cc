#include "g4/variants/gemma3_4b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3_4b::text);
