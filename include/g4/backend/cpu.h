/// The cpu backend: kernels compiled once for every SIMD target, chosen when the program runs. Link `g4::cpu`.
#pragma once

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/simd.h"

namespace g4::backend {

/// Dynamic dispatch: one program for every CPU.
class cpu : public simd<g4::cpu::kernels> {
 public:
  using simd<g4::cpu::kernels>::simd;
};

static_assert(Backend<cpu>);

}  // namespace g4::backend
