/// What the kernels that multiply panels share: rings of stages, and activations as two half floats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "kernels/cuda/panels.cuh"

namespace g4::G4_SPACE {

constexpr unsigned product_warps = 8;
constexpr unsigned ring_slots = 2;

/// Columns that a warp fetches at a time.
template <storage Type>
constexpr unsigned stage_columns = [] {
  unsigned columns = 256;
  while (panels<Type>::bytes * (columns / panels<Type>::columns) > 5000) columns /= 2;
  return columns;
}();
template <storage Type>
constexpr unsigned stage_bytes = stage_columns<Type> / panels<Type>::columns* panels<Type>::bytes;

/// Columns of activations that have a power of two in common: as many as have room in shared memory beside the rings.
template <storage Type>
constexpr unsigned chunk_columns = product_warps* ring_slots* stage_bytes<Type> > 66'000 ? 768 : 1024;

/// Calls use<Type>() for the storage whose form the panels of `type` have. Others have none, and nobody asks for them:
/// `gpu_calls::panel_bytes` is nought.
template <class Use>
void with_panels(storage type, Use&& use) {
  switch (type) {
    case storage::f32: return use.template operator()<storage::f32>();
    case storage::f16:
    case storage::bf16: return use.template operator()<storage::f16>();
    case storage::q4_0: return use.template operator()<storage::q4_0>();
    case storage::q8_0: return use.template operator()<storage::q8_0>();
    case storage::q4_k: return use.template operator()<storage::q4_k>();
    case storage::q6_k: return use.template operator()<storage::q6_k>();
    default: return;
  }
}

constexpr std::size_t panels_of(std::size_t rows) { return (rows + panel_rows - 1) / panel_rows; }

/// An activation: a half float, and what it leaves as another; 22 bits.
struct two_halves {
  std::uint16_t first, rest;
};
G4_DEVICE two_halves as_two_halves(float number) {
  const unsigned bits = half_bits(number);
  return {static_cast<std::uint16_t>(bits), static_cast<std::uint16_t>(half_bits(number - float_of_half(bits)))};
}
/// The power of two for `count` numbers, where there are any; the whole warp.
G4_DEVICE unsigned exponent_of_chunk(const float* x, unsigned count, bool there) {
  float most = 0;
  if (there) {
    for (unsigned i = lane_index(); i < count; i += warp_size) most = fmaxf(most, fabsf(x[i]));
  }
  return exponent_for_halves(warp_max::run(most));
}

}  // namespace g4::G4_SPACE
