// kernels/cpu/tower.cc: what only towers use, and additions, for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tower.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tower-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(add);
HWY_EXPORT(add_bias);
HWY_EXPORT(attend_near);
HWY_EXPORT(convolve_back);
HWY_EXPORT(glu);
HWY_EXPORT(keep_within);
HWY_EXPORT(layer_norm);
HWY_EXPORT(rope_2d);
HWY_EXPORT(silu);
void cpu::kernels::add(const float* x, std::size_t n, float* y) { HWY_DYNAMIC_DISPATCH(add)(x, n, y); }
void cpu::kernels::add_bias(float* y, const float* bias, std::size_t rows, std::size_t width) {
  HWY_DYNAMIC_DISPATCH(add_bias)(y, bias, rows, width);
}
void cpu::kernels::attend_near(const near_call& call) { HWY_DYNAMIC_DISPATCH(attend_near)(call); }
void cpu::kernels::convolve_back(const convolve_call& call) { HWY_DYNAMIC_DISPATCH(convolve_back)(call); }
void cpu::kernels::glu(const float* x, std::size_t rows, std::size_t width, float* y) {
  HWY_DYNAMIC_DISPATCH(glu)(x, rows, width, y);
}
void cpu::kernels::keep_within(const float* x, std::size_t n, float least, float most, float* y) {
  HWY_DYNAMIC_DISPATCH(keep_within)(x, n, least, most, y);
}
void cpu::kernels::layer_norm(const layer_norm_call& call) { HWY_DYNAMIC_DISPATCH(layer_norm)(call); }
void cpu::kernels::rope_2d(const rope_call& call) { HWY_DYNAMIC_DISPATCH(rope_2d)(call); }
void cpu::kernels::silu(float* x, std::size_t n) { HWY_DYNAMIC_DISPATCH(silu)(x, n); }
}  // namespace g4
#endif
