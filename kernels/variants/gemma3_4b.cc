#include "g4/variants/gemma3_4b.h"
#include "kernels/variants/instantiate.h"

G4_INSTANTIATE(gemma3_4b);
