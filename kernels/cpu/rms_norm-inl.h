// y = x · (mean(x²) + eps)^(-½) · scale, row by row. Definition: include/g4/ops/rms_norm.h.
#if defined(G4_KERNELS_CPU_RMS_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_RMS_NORM_INL_H_
#undef G4_KERNELS_CPU_RMS_NORM_INL_H_
#else
#define G4_KERNELS_CPU_RMS_NORM_INL_H_
#endif

#include <cmath>
#include <cstddef>

#include "g4/backend/cpu/calls.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Σ x², in two chains of lanes.
HWY_INLINE float sum_of_squares(const float* x, size_t n) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  auto even = hn::Zero(df);
  auto odd = hn::Zero(df);
  size_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    const auto a = hn::LoadU(df, x + i);
    const auto b = hn::LoadU(df, x + i + step);
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  for (; i < n; i += step) {
    const auto a = hn::LoadN(df, x + i, n - i);
    even = hn::MulAdd(a, a, even);
  }
  return hn::ReduceSum(df, hn::Add(even, odd));
}

template <bool Scale, bool Add>
HWY_INLINE void scale_row(const float* x, const float* scale, float factor, size_t n, float* y) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  const auto f = hn::Set(df, factor);
  size_t i = 0;
  for (; i + step <= n; i += step) {
    auto v = hn::Mul(hn::LoadU(df, x + i), f);
    if constexpr (Scale) v = hn::Mul(v, hn::LoadU(df, scale + i));
    if constexpr (Add) v = hn::Add(hn::LoadU(df, y + i), v);
    hn::StoreU(v, df, y + i);
  }
  if (i == n) return;
  auto v = hn::Mul(hn::LoadN(df, x + i, n - i), f);
  if constexpr (Scale) v = hn::Mul(v, hn::LoadN(df, scale + i, n - i));
  if constexpr (Add) v = hn::Add(hn::LoadN(df, y + i, n - i), v);
  hn::StoreN(v, df, y + i, n - i);
}

inline void rms_norm(const cpu::norm_call& call) {
  for (size_t t = 0; t < call.tokens; ++t) {
    const float* x = call.x + t * call.width;
    float* y = call.y + t * call.width;
    const float factor = 1.0f / std::sqrt(sum_of_squares(x, call.width) / static_cast<float>(call.width) + call.eps);
    if (call.add) {
      call.scale ? scale_row<true, true>(x, call.scale, factor, call.width, y)
                 : scale_row<false, true>(x, nullptr, factor, call.width, y);
    } else {
      call.scale ? scale_row<true, false>(x, call.scale, factor, call.width, y)
                 : scale_row<false, false>(x, nullptr, factor, call.width, y);
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_RMS_NORM_INL_H_
