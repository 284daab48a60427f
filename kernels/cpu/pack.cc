// kernels/cpu/pack.cc: g4::cpu::kernels::pack and as_words for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pack.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/pack-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(pack);
HWY_EXPORT(as_words);
void cpu::kernels::pack(const pack_call& call) { HWY_DYNAMIC_DISPATCH(pack)(call); }
void cpu::kernels::as_words(const as_words_call& call) { HWY_DYNAMIC_DISPATCH(as_words)(call); }
}  // namespace g4
#endif
