// kernels/cpu/panel_matmul_bytes.cc: g4::cpu::kernels::panel_matmul_bytes, quantise_bytes and bytes_pay for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/panel_matmul_bytes.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/panel_matmul_bytes-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(panel_matmul_bytes);
HWY_EXPORT(quantise_bytes);
HWY_EXPORT(bytes_pay);
void cpu::kernels::panel_matmul_bytes(const product_call& call) { HWY_DYNAMIC_DISPATCH(panel_matmul_bytes)(call); }
void cpu::kernels::quantise_bytes(const quantise_bytes_call& call) { HWY_DYNAMIC_DISPATCH(quantise_bytes)(call); }
bool cpu::kernels::bytes_pay(storage type) { return HWY_DYNAMIC_DISPATCH(bytes_pay)(type); }
}  // namespace g4
#endif
