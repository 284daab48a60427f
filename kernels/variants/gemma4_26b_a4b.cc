#include "g4/variants/gemma4_26b_a4b.h"
#include "kernels/variants/instantiate.h"

G4_INSTANTIATE(gemma4_26b_a4b);
