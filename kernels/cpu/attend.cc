// kernels/cpu/attend.cc: g4::cpu::kernels::store, attend, join_attention and attend_all for every SIMD target.
#include "kernels/cpu/targets.h"

#include "g4/backend/cpu/calls.h"  // declares what is defined here

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attend.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/attend-inl.h"  // after highway.h
#include "kernels/cpu/attend_all-inl.h"

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(store);
HWY_EXPORT(attend);
HWY_EXPORT(join_attention);
HWY_EXPORT(pack_all);
HWY_EXPORT(attend_all);
void cpu::kernels::store(const store_call& call) { HWY_DYNAMIC_DISPATCH(store)(call); }
void cpu::kernels::attend(const attend_call& call) { HWY_DYNAMIC_DISPATCH(attend)(call); }
void cpu::kernels::join_attention(const join_call& call) { HWY_DYNAMIC_DISPATCH(join_attention)(call); }
void cpu::kernels::pack_all(const pack_all_call& call) { HWY_DYNAMIC_DISPATCH(pack_all)(call); }
void cpu::kernels::attend_all(const attend_all_call& call) { HWY_DYNAMIC_DISPATCH(attend_all)(call); }
}  // namespace g4
#endif
