#include "g4/variants/gemma4_26b_a4b_assistant.h"
#include "instantiate.h"

G4_INSTANTIATE_DRAFTER(gemma4_26b_a4b_assistant);
