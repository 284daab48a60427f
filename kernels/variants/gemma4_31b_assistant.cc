#include "g4/variants/gemma4_31b_assistant.h"
#include "instantiate.h"

G4_INSTANTIATE_DRAFTER(gemma4_31b_assistant);
