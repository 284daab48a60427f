// kernels/cpu/depthwise.cc: g4::cpu::kernels::depthwise for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/depthwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/depthwise-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(depthwise);
void cpu::kernels::depthwise(const depthwise_call& call) { HWY_DYNAMIC_DISPATCH(depthwise)(call); }
}  // namespace g4
#endif
