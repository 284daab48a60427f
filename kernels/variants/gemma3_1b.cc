#include "g4/variants/gemma3_1b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3_1b);
