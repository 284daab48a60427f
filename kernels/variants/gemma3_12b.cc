#include "g4/variants/gemma3_12b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3_12b::text);
