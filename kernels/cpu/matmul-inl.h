// y = x · Wᵀ with weights as stored and float32 arithmetic. Definition: include/g4/ops/matmul.h.
#if defined(G4_KERNELS_CPU_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_MATMUL_INL_H_
#undef G4_KERNELS_CPU_MATMUL_INL_H_
#else
#define G4_KERNELS_CPU_MATMUL_INL_H_
#endif

#include <algorithm>

#include "g4/backend/cpu/calls.h"
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

// Bytes from a row to the one that is asked for while it is used: whole tiles of rows, some `early` bytes.
template <size_t Rows>
HWY_INLINE size_t rows_ahead(size_t stride) {
  return Rows * stride * std::max<size_t>(1, early / (Rows * stride));
}

template <storage S>
HWY_INLINE floats plain_floats(const std::byte* p) {
  if constexpr (S == storage::bf16) return floats_from_bf16(p);
  if constexpr (S == storage::f16) return floats_from_f16(p);
  if constexpr (S == storage::f32) return hn::LoadU(float_lanes(), reinterpret_cast<const float*>(p));
}

// One token against plain floats, which become float32 in registers. The order of the sums is that of `accumulate`.
template <storage S, size_t Rows>
inline void matvec_plain(const cpu::matmul_call& call, size_t row) {
  const float_lanes df;
  constexpr size_t element = facts_of(S).block_bytes;
  const size_t stride = call.w.stride();
  const size_t ahead = rows_ahead<Rows>(stride);
  const size_t columns = call.w.columns;
  const std::byte* w = call.w.row(row);
  floats acc[Rows][1];
  clear(acc);
  constexpr size_t line = 64 / element;  // elements of a cache line
  size_t k = 0;
  for (; k + line <= columns; k += line) {
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) fetch_early(w + r * stride + k * element + ahead);
    G4_UNROLL for (size_t i = 0; i < line; i += lanes) {
      const floats x = hn::LoadU(df, call.x + k + i);
      G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
        acc[r][0] = hn::MulAdd(x, plain_floats<S>(w + r * stride + (k + i) * element), acc[r][0]);
      }
    }
  }
  if (k < columns) {
    HWY_ALIGN float rest[Rows][line];
    const float* rows[Rows];
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      unpack(S, w + r * stride + k * element, columns - k, rest[r]);
      rows[r] = rest[r];
    }
    accumulate(rows, call.x + k, 0, columns - k, acc);
  }
  write(acc, call.y + row, 0);
}

// One token against blocks, which pass through a piece of 256 columns that stays in the first-level cache.
template <size_t Rows>
inline void matvec_blocks(const cpu::matmul_call& call, size_t row) {
  constexpr size_t piece = 256;
  HWY_ALIGN float unpacked[Rows][piece];
  const size_t ahead = rows_ahead<Rows>(call.w.stride());
  floats acc[Rows][1];
  clear(acc);
  for (size_t k = 0; k < call.w.columns; k += piece) {
    const size_t n = std::min(piece, call.w.columns - k);
    const size_t stretch = row_bytes(call.w.type, n);
    const float* w[Rows];
    G4_UNROLL for (size_t r = 0; r < Rows; ++r) {
      const std::byte* stored = call.w.row(row + r) + row_bytes(call.w.type, k);
      for (size_t line = 0; line < stretch; line += 64) fetch_early(stored + ahead + line);
      unpack(call.w.type, stored, n, unpacked[r]);
      w[r] = unpacked[r];
    }
    accumulate(w, call.x + k, 0, n, acc);
  }
  write(acc, call.y + row, 0);
}

template <size_t Rows>
HWY_INLINE void matvec_tile(const cpu::matmul_call& call, size_t row) {
  switch (call.w.type) {
    case storage::f32: return matvec_plain<storage::f32, Rows>(call, row);
    case storage::f16: return matvec_plain<storage::f16, Rows>(call, row);
    case storage::bf16: return matvec_plain<storage::bf16, Rows>(call, row);
    default: return matvec_blocks<Rows>(call, row);
  }
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
    write(acc, call.y + (first + t) * call.apart() + row, call.apart());
  }
  for (; t < count; ++t) {
    floats acc[Rows][1];
    clear(acc);
    accumulate(w, call.x + (first + t) * columns, columns, columns, acc);
    write(acc, call.y + (first + t) * call.apart() + row, call.apart());
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
