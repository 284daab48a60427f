// Weights times rows, in float32.
#include <cstddef>

#include "g4/backend/gpu_calls.h"
#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/inside.h"
#include "kernels/cuda/stored.cuh"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

constexpr unsigned product_warps = 8;
constexpr unsigned product_tokens = 8;

/// One warp a row of the weight and up to 8 tokens: each number is unpacked once for all of them. A row of y has the same
/// bits however many tokens there are: a token's sum is the lanes', 32 columns apart, added as a tree. Blocks beside each other
/// have the same rows of the weight and other tokens.
template <storage Type>
G4_KERNEL void __launch_bounds__(product_warps* warp_size) product_rows(gc::product c) {
  begin_in_turn();
  const size_t tiles = (c.tokens + product_tokens - 1) / product_tokens, first = blockIdx.x % tiles * product_tokens;
  const size_t row = blockIdx.x / tiles * product_warps + warp_index();
  if (row >= c.w.rows) return;
  const byte* const w = row_of(c.w, row);
  const float* const x = c.x + first * c.w.columns;
  const auto tokens = static_cast<unsigned>(c.tokens - first < product_tokens ? c.tokens - first : product_tokens);
  float sums[product_tokens] = {};
  for (size_t i = lane_index(); i < c.w.columns; i += warp_size) {
    const float number = number_at<Type>(w, i);
    G4_UNROLL
    for (unsigned t = 0; t < product_tokens; ++t) {
      if (t < tokens) sums[t] += number * x[t * c.w.columns + i];
    }
  }
  warp_sums<product_tokens>::run(sums);
  G4_UNROLL
  for (unsigned t = 0; t < product_tokens; ++t) {
    if (t < tokens && lane_index() == t) c.y[(first + t) * c.w.rows + row] = sums[t];
  }
}

namespace {

using product_kernel = void (*)(gc::product);

[[nodiscard]] product_kernel kernel_for(storage type) {
  switch (type) {
    case storage::f32: return &product_rows<storage::f32>;
    case storage::f16: return &product_rows<storage::f16>;
    case storage::bf16: return &product_rows<storage::bf16>;
    case storage::q4_0: return &product_rows<storage::q4_0>;
    case storage::q4_1: return &product_rows<storage::q4_1>;
    case storage::q5_0: return &product_rows<storage::q5_0>;
    case storage::q5_1: return &product_rows<storage::q5_1>;
    case storage::q8_0: return &product_rows<storage::q8_0>;
    case storage::q4_k: return &product_rows<storage::q4_k>;
    case storage::q5_k: return &product_rows<storage::q5_k>;
    case storage::q6_k: return &product_rows<storage::q6_k>;
    case storage::q2_k: return &product_rows<storage::q2_k>;
    case storage::q3_k: return &product_rows<storage::q3_k>;
    case storage::iq4_nl: return &product_rows<storage::iq4_nl>;
    case storage::iq4_xs: return &product_rows<storage::iq4_xs>;
    case storage::mxfp4: return &product_rows<storage::mxfp4>;
    case storage::f64:
    case storage::i16: break;  // caches of other backends
  }
  return nullptr;
}

}  // namespace

void device::run(const gc::product& c) {
  const product_kernel kernel = kernel_for(c.w.type);
  if (kernel == nullptr) return;
  const size_t rows = (c.w.rows + product_warps - 1) / product_warps;
  const size_t tiles = (c.tokens + product_tokens - 1) / product_tokens;
  in_->launch("product", kernel, rows * tiles, product_warps * warp_size, 0, c);
}

}  // namespace g4::G4_SPACE
