// gate = gelu_tanh(gate) · up. Definition: include/g4/ops/gate.h.
#if defined(G4_KERNELS_CPU_GATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_GATE_INL_H_
#undef G4_KERNELS_CPU_GATE_INL_H_
#else
#define G4_KERNELS_CPU_GATE_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
// after highway.h
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// ½·x·(1 + tanh(u)) = x / (1 + exp(−2u)): the same number without the cancellation at large negative x, and one exp.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_tanh(D df, V x) {
  const V cubic = hn::MulAdd(hn::Mul(hn::Set(df, 0.044715f), hn::Mul(x, x)), x, x);
  const V minus_2u = hn::Mul(hn::Set(df, -1.5957691216057308f), cubic);  // −2·√(2/π)
  const V e = hn::Exp(df, hn::Min(minus_2u, hn::Set(df, 104.0f)));       // ∞ from 89 on: x/∞ is nought
  return hn::Div(x, hn::Add(hn::Set(df, 1.0f), e));
}

inline void gelu_gate(float* gate, const float* up, size_t n) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  size_t i = 0;
  for (; i + step <= n; i += step) {
    hn::StoreU(hn::Mul(gelu_tanh(df, hn::LoadU(df, gate + i)), hn::LoadU(df, up + i)), df, gate + i);
  }
  if (i == n) return;
  const auto y = hn::Mul(gelu_tanh(df, hn::LoadN(df, gate + i, n - i)), hn::LoadN(df, up + i, n - i));
  hn::StoreN(y, df, gate + i, n - i);
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_GATE_INL_H_
