// kernels/cpu/rope.cc: g4::cpu::kernels::rope for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rope.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/rope-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(rope);
void cpu::kernels::rope(const rope_call& call) { HWY_DYNAMIC_DISPATCH(rope)(call); }
}  // namespace g4
#endif
