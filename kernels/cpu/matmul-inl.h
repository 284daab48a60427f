// y = x · Wᵀ with weights as stored and float32 arithmetic. Definition: include/g4/ops/matmul.h.
#if defined(G4_KERNELS_CPU_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_MATMUL_INL_H_
#undef G4_KERNELS_CPU_MATMUL_INL_H_
#else
#define G4_KERNELS_CPU_MATMUL_INL_H_
#endif

#include <algorithm>

#include "g4/backend/calls.h"
#include "kernels/cpu/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

// acc[r][t] += w[r] · x[t] over n columns. Every sum runs over the columns in one order, lane by lane, whatever the
// tile: a token's result does not depend on how many tokens came with it.
template <size_t Rows, size_t Tokens>
HWY_INLINE void accumulate(const float* const* w, const float* x, size_t x_stride, size_t n,
                           floats (&acc)[Rows][Tokens]) {
  const float_lanes df;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    floats a[Tokens];
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) a[t] = hn::LoadU(df, x + t * x_stride + i);
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const floats b = hn::LoadU(df, w[r] + i);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) acc[r][t] = hn::MulAdd(a[t], b, acc[r][t]);
    }
  }
  if (i == n) return;
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    const floats b = hn::LoadN(df, w[r] + i, n - i);
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      acc[r][t] = hn::MulAdd(hn::LoadN(df, x + t * x_stride + i, n - i), b, acc[r][t]);
    }
  }
}

template <size_t Rows, size_t Tokens>
HWY_INLINE void clear(floats (&acc)[Rows][Tokens]) {
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) acc[r][t] = hn::Zero(float_lanes());
  }
}

template <size_t Rows, size_t Tokens>
HWY_INLINE void write(const floats (&acc)[Rows][Tokens], float* y, size_t y_stride) {
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) y[t * y_stride + r] = hn::ReduceSum(float_lanes(), acc[r][t]);
  }
}

// One token: weights pass through a piece of 256 columns that stays in the first-level cache.
template <size_t Rows>
inline void matvec_tile(const cpu::matmul_call& call, size_t row) {
  constexpr size_t piece = 256;
  HWY_ALIGN float unpacked[Rows][piece];
  floats acc[Rows][1];
  clear(acc);
  for (size_t k = 0; k < call.w.columns; k += piece) {
    const size_t n = std::min(piece, call.w.columns - k);
    const float* w[Rows];
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const std::byte* stored = call.w.row(row + r) + row_bytes(call.w.type, k);
      unpack(call.w.type, stored, n, unpacked[r]);
      w[r] = unpacked[r];
    }
    accumulate(w, call.x + k, 0, n, acc);
  }
  write(acc, call.y + row, 0);
}

// Rows of weights turned into floats once, against tokens [first, first + count).
template <size_t Rows>
inline void matmul_tile(const cpu::matmul_call& call, size_t row, size_t first, size_t count) {
  const size_t columns = call.w.columns;
  const float* w[Rows];
  G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
    float* unpacked = call.scratch + r * columns;
    unpack(call.w.type, call.w.row(row + r), columns, unpacked);
    w[r] = unpacked;
  }
  size_t t = 0;
  for (; t + 4 <= count; t += 4) {
    floats acc[Rows][4];
    clear(acc);
    accumulate(w, call.x + (first + t) * columns, columns, columns, acc);
    write(acc, call.y + (first + t) * call.w.rows + row, call.w.rows);
  }
  for (; t < count; ++t) {
    floats acc[Rows][1];
    clear(acc);
    accumulate(w, call.x + (first + t) * columns, columns, columns, acc);
    write(acc, call.y + (first + t) * call.w.rows + row, call.w.rows);
  }
}

template <size_t Rows>
HWY_INLINE void matmul_rows(const cpu::matmul_call& call, size_t row, size_t first, size_t count) {
  if (call.tokens == 1) {
    matvec_tile<Rows>(call, row);
  } else {
    matmul_tile<Rows>(call, row, first, count);
  }
}

inline void matmul(const cpu::matmul_call& call) {
  // Activations of this many tokens stay in the second-level cache (512 KB) while the weights pass by.
  const size_t batch = std::max<size_t>(16, (size_t{1} << 17) / call.w.columns & ~size_t{3});
  for (size_t first = 0; first < call.tokens; first += batch) {
    const size_t count = std::min(batch, call.tokens - first);
    size_t row = call.first;
    const size_t end = call.first + call.count;
    for (; row + 4 <= end; row += 4) matmul_rows<4>(call, row, first, count);
    for (; row < end; ++row) matmul_rows<1>(call, row, first, count);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_MATMUL_INL_H_
