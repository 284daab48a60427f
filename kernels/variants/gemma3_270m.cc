#include "g4/variants/gemma3_270m.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3_270m);
