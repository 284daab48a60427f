// Rotary position embedding of the pairs (i, i + d/2). Definition: include/g4/ops/rope.h.
#if defined(G4_KERNELS_CPU_ROPE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_ROPE_INL_H_
#undef G4_KERNELS_CPU_ROPE_INL_H_
#else
#define G4_KERNELS_CPU_ROPE_INL_H_
#endif

#include <cstddef>

#include "g4/backend/cpu/calls.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline void rope(const cpu::rope_call& call) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  const size_t half = call.d / 2;
  float* head = call.x;
  for (size_t t = 0; t < call.tokens; ++t) {
    const float* cos = call.cos + t * half;
    const float* sin = call.sin + t * half;
    for (size_t h = 0; h < call.heads; ++h, head += call.d) {
      for (size_t i = 0; i < half; i += step) {
        const size_t left = half - i;
        const auto c = hn::LoadN(df, cos + i, left);
        const auto s = hn::LoadN(df, sin + i, left);
        const auto a = hn::LoadN(df, head + i, left);
        const auto b = hn::LoadN(df, head + half + i, left);
        hn::StoreN(hn::NegMulAdd(b, s, hn::Mul(a, c)), df, head + i, left);
        hn::StoreN(hn::MulAdd(a, s, hn::Mul(b, c)), df, head + half + i, left);
      }
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_ROPE_INL_H_
