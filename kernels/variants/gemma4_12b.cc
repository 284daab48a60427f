#include "g4/variants/gemma4_12b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma4_12b::text);
