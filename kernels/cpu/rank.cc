// kernels/cpu/rank.cc: g4::cpu::kernels::rank for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rank.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/rank-inl.h"  // after highway.h

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(rank);
HWY_EXPORT(ranking_pays);
void cpu::kernels::rank(const rank_call& call) { HWY_DYNAMIC_DISPATCH(rank)(call); }
bool cpu::kernels::ranking_pays() { return HWY_DYNAMIC_DISPATCH(ranking_pays)(); }
}  // namespace g4
#endif
