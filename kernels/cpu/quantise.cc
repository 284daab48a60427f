// kernels/cpu/quantise.cc: g4::cpu::kernels::quantise for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/quantise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/quantise-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(quantise);
void cpu::kernels::quantise(const quantise_call& call) { HWY_DYNAMIC_DISPATCH(quantise)(call); }
}  // namespace g4
#endif
