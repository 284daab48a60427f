// kernels/cpu/unpack.cc: g4::cpu::kernels::unpack for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/unpack.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/unpack-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(unpack);
void cpu::kernels::unpack(storage type, const std::byte* block, std::size_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(unpack)(type, block, n, y);
}
}  // namespace g4
#endif
