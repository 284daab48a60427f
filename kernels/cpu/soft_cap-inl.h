// x = cap · tanh(x / cap). Definition: include/g4/ops/soft_cap.h.
#if defined(G4_KERNELS_CPU_SOFT_CAP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_SOFT_CAP_INL_H_
#undef G4_KERNELS_CPU_SOFT_CAP_INL_H_
#else
#define G4_KERNELS_CPU_SOFT_CAP_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
// after highway.h
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline void soft_cap(float* x, size_t n, float cap) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  const auto c = hn::Set(df, cap);
  for (size_t i = 0; i < n; i += step) {
    const size_t left = n - i;
    const auto v = hn::LoadN(df, x + i, left);
    const auto capped = hn::Mul(c, hn::Tanh(df, hn::Div(v, c)));
    hn::StoreN(hn::MulAdd(v, hn::Zero(df), capped), df, x + i, left);  // no number where v is none
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_SOFT_CAP_INL_H_
