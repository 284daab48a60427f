// y = every channel of a plane with its own square kernel. Definition: include/g4/ops/plane.h.
#if defined(G4_KERNELS_CPU_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_DEPTHWISE_INL_H_
#undef G4_KERNELS_CPU_DEPTHWISE_INL_H_
#else
#define G4_KERNELS_CPU_DEPTHWISE_INL_H_
#endif

#include <cstddef>

#include "g4/backend/cpu/calls.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// `Vectors` vectors of channels of one place: their sums stay in registers while the square's places are added.
template <size_t Vectors, class D>
HWY_INLINE void channels_of_place(D df, const float* x, const float* w, const ops::plane& p, size_t rows,
                                  size_t columns, float* y) {
  static_assert(Vectors == 1 || Vectors == 4);
  const size_t step = hn::Lanes(df);
  auto s0 = hn::Zero(df), s1 = s0, s2 = s0, s3 = s0;
  for (size_t a = 0; a < rows; ++a) {
    const float* from = x + a * p.width * p.channels;
    const float* k = w + a * p.side * p.channels;
    for (size_t b = 0; b < columns; ++b, from += p.channels, k += p.channels) {
      s0 = hn::MulAdd(hn::LoadU(df, k), hn::LoadU(df, from), s0);
      if constexpr (Vectors == 4) {
        s1 = hn::MulAdd(hn::LoadU(df, k + step), hn::LoadU(df, from + step), s1);
        s2 = hn::MulAdd(hn::LoadU(df, k + 2 * step), hn::LoadU(df, from + 2 * step), s2);
        s3 = hn::MulAdd(hn::LoadU(df, k + 3 * step), hn::LoadU(df, from + 3 * step), s3);
      }
    }
  }
  hn::StoreU(s0, df, y);
  if constexpr (Vectors == 4) {
    hn::StoreU(s1, df, y + step);
    hn::StoreU(s2, df, y + 2 * step);
    hn::StoreU(s3, df, y + 3 * step);
  }
}

// The last channels, fewer than a vector.
template <class D>
HWY_INLINE void last_channels_of_place(D df, const float* x, const float* w, const ops::plane& p, size_t rows,
                                       size_t columns, size_t n, float* y) {
  auto sum = hn::Zero(df);
  for (size_t a = 0; a < rows; ++a) {
    for (size_t b = 0; b < columns; ++b) {
      const auto from = hn::LoadN(df, x + (a * p.width + b) * p.channels, n);
      sum = hn::MulAdd(hn::LoadN(df, w + (a * p.side + b) * p.channels, n), from, sum);
    }
  }
  hn::StoreN(sum, df, y, n);
}

inline void depthwise(const cpu::depthwise_call& call) {
  const hn::ScalableTag<float> df;
  const size_t step = hn::Lanes(df);
  const ops::plane& p = call.of;
  float* y = call.y + call.first * p.columns() * p.channels;
  for (size_t i = call.first; i < call.first + call.count; ++i) {
    const ops::plane::inside down = p.rows_inside(i);
    for (size_t j = 0; j < p.columns(); ++j, y += p.channels) {
      const ops::plane::inside across = p.columns_inside(j);
      // The first place of the square that lies in the plane.
      const size_t row = i * p.stride + down.first - p.top(), column = j * p.stride + across.first - p.left();
      const float* const x = call.x + (row * p.width + column) * p.channels;
      const float* const w = call.kernel + (down.first * p.side + across.first) * p.channels;
      const size_t rows = down.last - down.first, columns = across.last - across.first;
      size_t c = 0;
      for (; c + 4 * step <= p.channels; c += 4 * step) {
        channels_of_place<4>(df, x + c, w + c, p, rows, columns, y + c);
      }
      for (; c + step <= p.channels; c += step) {
        channels_of_place<1>(df, x + c, w + c, p, rows, columns, y + c);
      }
      if (c < p.channels) last_channels_of_place(df, x + c, w + c, p, rows, columns, p.channels - c, y + c);
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_DEPTHWISE_INL_H_
