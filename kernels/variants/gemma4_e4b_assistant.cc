#include "g4/variants/gemma4_e4b_assistant.h"
#include "kernels/variants/instantiate.h"

G4_INSTANTIATE_DRAFTER(gemma4_e4b_assistant);
