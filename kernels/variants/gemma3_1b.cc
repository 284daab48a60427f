#include "g4/variants/gemma3_1b.h"
#include "kernels/variants/instantiate.h"

G4_INSTANTIATE(gemma3_1b);
