#include "g4/variants/gemma3_27b.h"
#include "instantiate.h"

G4_INSTANTIATE(gemma3_27b::text);
