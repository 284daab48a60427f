#include "g4/variants/gemma4_31b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma4_31b::text);
