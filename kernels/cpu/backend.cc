// The cpu backend over the kernels that are chosen when the program runs, compiled once.
#include "g4/backend/cpu/attention.inl"
#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/products.inl"
#include "g4/backend/cpu/ranking.inl"

namespace g4::cpu {

template class products<kernels>;
template class ranking<kernels>;
template class attention<kernels>;

}  // namespace g4::cpu
