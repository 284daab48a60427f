// kernels/cpu/matmul.cc: g4::cpu::kernels::matmul for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/matmul-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(matmul);
void cpu::kernels::matmul(const matmul_call& call) { HWY_DYNAMIC_DISPATCH(matmul)(call); }
}  // namespace g4
#endif
