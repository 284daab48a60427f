// kernels/cpu/rms_norm.cc: g4::cpu::kernels::rms_norm for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/rms_norm-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(rms_norm);
void cpu::kernels::rms_norm(const norm_call& call) { HWY_DYNAMIC_DISPATCH(rms_norm)(call); }
}  // namespace g4
#endif
