// kernels/cpu/gate.cc: g4::cpu::kernels::gelu_gate for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gate.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/gate-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(gelu_gate);
void cpu::kernels::gelu_gate(float* gate, const float* up, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(gelu_gate)(gate, up, n);
}
}  // namespace g4
#endif
