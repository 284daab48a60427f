#include "g4/variants/gemma3_270m.h"
#include "kernels/variants/instantiate.h"

G4_INSTANTIATE(gemma3_270m);
