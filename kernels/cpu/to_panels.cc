// kernels/cpu/to_panels.cc: g4::cpu::kernels::to_panels and nibbles_to_words for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/to_panels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/to_panels-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(to_panels);
HWY_EXPORT(nibbles_to_words);
void cpu::kernels::to_panels(const to_panels_call& call) { HWY_DYNAMIC_DISPATCH(to_panels)(call); }
void cpu::kernels::nibbles_to_words(const nibbles_to_words_call& call) { HWY_DYNAMIC_DISPATCH(nibbles_to_words)(call); }
}  // namespace g4
#endif
