// kernels/cpu/panel_matmul_mxfp4.cc: g4::cpu::kernels::panel_matmul_mxfp4 for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/panel_matmul_mxfp4.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/panel_matmul-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(panel_matmul_mxfp4);
void cpu::kernels::panel_matmul_mxfp4(const product_call& call) { HWY_DYNAMIC_DISPATCH(panel_matmul_mxfp4)(call); }
}  // namespace g4
#endif
