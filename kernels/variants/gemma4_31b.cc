#include "g4/variants/gemma4_31b.h"
#include "kernels/variants/instantiate.h"

G4_INSTANTIATE(gemma4_31b);
