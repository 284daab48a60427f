// kernels/cpu/soft_cap.cc: g4::cpu::kernels::soft_cap for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/soft_cap.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/soft_cap-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(soft_cap);
void cpu::kernels::soft_cap(float* x, std::size_t n, float cap) { HWY_DYNAMIC_DISPATCH(soft_cap)(x, n, cap); }
}  // namespace g4
#endif
