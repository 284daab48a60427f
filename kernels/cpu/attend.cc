// kernels/cpu/attend.cc: g4::cpu::kernels::attend for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attend.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/attend-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(attend);
void cpu::kernels::attend(const attend_call& call) { HWY_DYNAMIC_DISPATCH(attend)(call); }
}  // namespace g4
#endif
