// Activations in 16 bits: x ≈ level · step for every block of 32 columns (`activations` in include/g4/backend/cpu/calls.h).
#if defined(G4_KERNELS_CPU_QUANTISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_QUANTISE_INL_H_
#undef G4_KERNELS_CPU_QUANTISE_INL_H_
#else
#define G4_KERNELS_CPU_QUANTISE_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "g4/backend/cpu/calls.h"
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The largest magnitude of a block. As whole numbers the bits of an infinity are above all others', and a NaN's above
// those: where there is one it is the largest, which a maximum of floats does not promise.
HWY_INLINE float largest_of_block(const float* x) {
  const int_lanes di;
  auto largest = hn::Zero(di);
  for (size_t i = 0; i < 32; i += lanes) {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(float_lanes(), x + i))));
  }
  const int32_t bits = hn::ReduceMax(di, largest);
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Below this the inverse of a block's largest magnitude would overflow; such a block counts as nought. One that is no
// number, or infinite, gives a step that is: products then are no numbers, and not those of another block.
HWY_INLINE bool counts_as_nought(float largest) { return largest <= 1e-30f; }

// Thirty-two numbers become integers of at most `top`; returns the step. Of every four, the middle two change places:
// a 32-bit word of 8-bit levels gives its even bytes to one 16-bit product and its odd bytes to the next. Where `digits` is
// not null the integers are also written as digit₀ + 128 · digit₁, thirty-two of each.
HWY_INLINE float quantise_block(const float* x, int top, int16_t* levels, int8_t* digits) {
  const float_lanes df;
  const int_lanes di;
  const hn::Rebind<int16_t, float_lanes> di16;
  const signed_byte_lanes di8;
  const float maximum = largest_of_block(x);
  const bool nought = counts_as_nought(maximum);
  const float inverse = nought ? 0.0f : static_cast<float>(top) / maximum;
  const floats scale = hn::Set(df, inverse);
  const auto low = hn::Set(di, -top);
  const auto high = hn::Set(di, top);
  for (size_t i = 0; i < 32; i += lanes) {
    const auto level = hn::Min(hn::Max(hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), scale)), low), high);
    hn::StoreU(hn::DemoteTo(di16, hn::Per4LaneBlockShuffle<3, 1, 2, 0>(level)), di16, levels + i);
    if (digits != nullptr) {
      const auto second = hn::ShiftRight<7>(hn::Add(level, hn::Set(di, 64)));
      hn::StoreU(hn::DemoteTo(di8, hn::Sub(level, hn::ShiftLeft<7>(second))), di8, digits + i);
      hn::StoreU(hn::DemoteTo(di8, second), di8, digits + 32 + i);
    }
  }
  return nought ? 0.0f : maximum / static_cast<float>(top);
}

HWY_INLINE int32_t sum_of_sixteen(const int16_t* levels) {
  const hn::CappedTag<int16_t, 16> d;
  const hn::RepartitionToWide<decltype(d)> d32;
  auto sum = hn::Zero(d32);
  for (size_t i = 0; i < 16; i += hn::Lanes(d)) {
    sum = hn::Add(sum, hn::WidenMulPairwiseAdd(d32, hn::LoadU(d, levels + i), hn::Set(d, int16_t{1})));
  }
  return hn::ReduceSum(d32, sum);
}

inline void quantise(const cpu::quantise_call& call) {
  const size_t blocks = call.out.blocks;
  for (size_t t = call.first; t < call.first + call.count; ++t) {
    const float* x = call.x + t * call.columns;
    int16_t* levels = call.out.levels + t * blocks * 32;
    for (size_t b = 0; b < blocks; ++b, levels += 32) {
      HWY_ALIGN float padded[32] = {};
      const float* from = x + 32 * b;
      if (32 * (b + 1) > call.columns) {
        std::copy(from, x + call.columns, padded);
        from = padded;
      }
      const size_t at = t * blocks + b;
      int8_t* const digits = call.out.digits == nullptr ? nullptr : call.out.digits + 64 * at;
      const float step = quantise_block(from, cpu::activation_top, levels, digits);
      const int32_t first = sum_of_sixteen(levels);
      const int32_t second = sum_of_sixteen(levels + 16);
      call.out.step[at] = step;
      call.out.sum[2 * at] = first;
      call.out.sum[2 * at + 1] = second;
      call.out.total[at] = step * static_cast<float>(first + second);
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_QUANTISE_INL_H_
