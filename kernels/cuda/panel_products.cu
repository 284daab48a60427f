// Weights in panels times rows: half floats multiplied, sums in float32.
#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "g4/ops/gate.h"
#include "kernels/cuda/inside.h"
#include "kernels/cuda/launch_limits.h"
#include "kernels/cuda/panels.cuh"
#include "kernels/cuda/products.cuh"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

// ---- Into panels -----------------------------------------------------------------------------------------------------

constexpr unsigned pack_warps = 4;

/// One warp a step of a panel.
template <storage Type>
G4_KERNEL void pack_steps(gc::to_panels c) {
  begin_in_turn();
  using form = panels<Type>;
  const size_t steps = c.w.columns / form::columns, all = (c.w.rows + panel_rows - 1) / panel_rows * steps;
  const size_t i = size_t{blockIdx.x} * pack_warps + warp_index();
  if (i >= all) return;
  const size_t first = i / steps * panel_rows;
  const size_t skip = i % steps * (form::columns / stored<Type>::numbers) * stored<Type>::bytes;
  form::pack(reinterpret_cast<byte*>(c.panels) + i * form::bytes,
             [&](unsigned r) -> const byte* { return first + r < c.w.rows ? row_of(c.w, first + r) + skip : nullptr; });
}

// ---- Products --------------------------------------------------------------------------------------------------------

constexpr unsigned product_tokens = 8;  // the columns of a tile: one cost for 1 to 8

template <storage Type>
struct product_room {
  static constexpr unsigned chunk = chunk_columns<Type>, z_stride = chunk + 16;  // eight rows begin in different banks
  alignas(128) byte ring[product_warps][ring_slots][stage_bytes<Type>];
  alignas(16) std::uint16_t z[product_tokens][z_stride];
  alignas(16) std::uint16_t rest[product_tokens][z_stride];
  float sums[product_tokens][chunk / 32];
  float unscale[product_tokens];
  landing full[product_warps][ring_slots];
};

/// Columns [from, from + count) of a token as two half floats each, times a power of two that brings the greatest to
/// 2¹³ … 2¹⁴: no half float ends below what activations need, and none is above 65504. The whole warp; beyond the tokens, noughts.
template <class Room>
G4_DEVICE void take_activations(Room& room, unsigned token, const float* x, size_t from, unsigned count, bool there) {
  const unsigned lane = lane_index(), exponent = exponent_of_chunk(x + from, count, there);
  const float factor = power_of(exponent);
  for (unsigned i = lane; i < count; i += warp_size) {
    const two_halves both = as_two_halves(there ? x[from + i] * factor : 0.0f);
    room.z[token][i] = both.first;
    room.rest[token][i] = both.rest;
  }
  __syncwarp();
  for (unsigned b = lane; b < count / 32; b += warp_size) {
    float sum = 0;
    for (unsigned i = 0; i < 32; ++i) {
      sum += float_of_half(room.z[token][32 * b + i]) + float_of_half(room.rest[token][32 * b + i]);
    }
    room.sums[token][b] = sum;
  }
  if (lane == 0) room.unscale[token] = undoing(exponent);
}

/// One warp a panel and 8 tokens. Stages of the panel arrive in the warp's own ring of two, one being multiplied while the
/// other is on its way; all warps share the activations, a chunk of columns at a time.
///
/// Several weights are one list of panels. Gated, a warp has the same panel of two weights: of every chunk it multiplies the
/// first's stages and then the second's, and ends with gelu_tanh(y_0) ∘ y_1.
///
/// The first stages are on their way before the kernels in front have ended: those write activations, never weights.
template <storage Type>
G4_KERNEL void __launch_bounds__(product_warps* warp_size, 1) product_panels(gc::panel_product c) {
  using form = panels<Type>;
  static_assert(sizeof(product_room<Type>) <= most_shared_memory);
  G4_SHARED(product_room<Type>, shared);
  product_room<Type>& room = *shared;
  constexpr unsigned chunk = chunk_columns<Type>;
  const unsigned warp = warp_index(), lane = lane_index(), t = lane % 4;
  const size_t tiles = (c.tokens + product_tokens - 1) / product_tokens, first = blockIdx.x % tiles * product_tokens;
  size_t panel = blockIdx.x / tiles * product_warps + warp;
  // Parts are taken by numbers that the compiler knows: what is indexed otherwise is copied to each thread's memory.
  gc::panel_product::part to{nullptr, 0, nullptr};
  bool mine = false;
  G4_UNROLL
  for (unsigned p = 0; p < gc::panel_product::most_parts; ++p) {
    if (mine || p >= c.count || (p != 0 && c.gated)) continue;
    mine = panel < panels_of(c.parts[p].rows);
    if (mine) {
      to = c.parts[p];
    } else {
      panel -= panels_of(c.parts[p].rows);
    }
  }
  const size_t panel_bytes = c.columns / form::columns * form::bytes;
  const auto stages = static_cast<unsigned>((c.columns + stage_columns<Type> - 1) / stage_columns<Type>);
  const unsigned weights = c.gated ? 2 : 1;

  const auto columns_of = [&](unsigned stage) {
    const size_t left = c.columns - size_t{stage} * stage_columns<Type>;
    return static_cast<unsigned>(left < stage_columns<Type> ? left : stage_columns<Type>);
  };
  // The n-th stage that the warp multiplies, of all its weights.
  const auto fetch = [&](unsigned n) {
    constexpr unsigned in_chunk = chunk / stage_columns<Type>;
    const unsigned before =
        c.gated ? n / (2 * in_chunk) * in_chunk : n / in_chunk * in_chunk;  // stages of chunks before
    const unsigned here = stages - before < in_chunk ? stages - before : in_chunk, at = n - before * weights;
    const bool second = at >= here;
    const unsigned stage = before + (second ? at - here : at);
    const auto* const steps = reinterpret_cast<const byte*>((second ? c.parts[1] : to).panels) + panel * panel_bytes;
    room.full[warp][n % ring_slots].copy(room.ring[warp][n % ring_slots], steps + size_t{stage} * stage_bytes<Type>,
                                         columns_of(stage) / form::columns * form::bytes);
  };
  if (mine) {
    for (unsigned slot = 0; slot < ring_slots; ++slot) room.full[warp][slot].begin();
    for (unsigned n = 0; n < ring_slots && n < stages * weights; ++n) fetch(n);
  }
  let_next_begin();
  dependency_wait();

  float y[4] = {}, gated[4] = {};
  unsigned n = 0;
  for (size_t from = 0; from < c.columns; from += chunk) {
    const auto count = static_cast<unsigned>(c.columns - from < chunk ? c.columns - from : chunk);
    __syncthreads();  // nobody reads the chunk before any more
    take_activations(room, warp, c.x + (first + warp) * c.columns, from, count, first + warp < c.tokens);
    __syncthreads();
    if (!mine) continue;
    for (unsigned which = 0; which < weights; ++which) {
      float sum[4] = {};
      for (unsigned column = 0; column < count; ++n) {
        room.full[warp][n % ring_slots].wait(n / ring_slots & 1);
        const unsigned left = count - column, end = column + (left < stage_columns<Type> ? left : stage_columns<Type>);
        for (const byte* step = room.ring[warp][n % ring_slots]; column < end;
             column += form::columns, step += form::bytes) {
          form::run(step,
                    few_activations{room.z[lane / 4] + column, room.rest[lane / 4] + column,
                                    room.sums[2 * t] + column / 32, room.sums[2 * t + 1] + column / 32},
                    sum);
        }
        __syncwarp();  // every lane has read the slot
        if (n + ring_slots < stages * weights) fetch(n + ring_slots);
      }
      for (unsigned i = 0; i < 4; ++i) {
        const float number = sum[i] * room.unscale[2 * t + i % 2];
        y[i] += which == 0 ? number : 0;
        gated[i] += which == 0 ? 0 : number;
      }
    }
  }
  if (!mine) return;
  for (unsigned i = 0; i < 4; ++i) {
    const size_t row = panel * panel_rows + lane / 4 + 8 * (i / 2), token = first + 2 * t + i % 2;
    if (row >= to.rows || token >= c.tokens) continue;
    to.y[token * to.rows + row] = c.gated ? ops::gelu_tanh(y[i]) * gated[i] : y[i];
  }
}

// ---- By storage ------------------------------------------------------------------------------------------------------

namespace {

template <storage Type>
void pack(device::inside& on, const gc::to_panels& c) {
  const size_t all = (c.w.rows + panel_rows - 1) / panel_rows * (c.w.columns / panels<Type>::columns);
  on.launch("to_panels", &pack_steps<Type>, (all + pack_warps - 1) / pack_warps, pack_warps * warp_size, 0, c);
  on.close();  // products read what it has written before they wait
}
template <storage Type>
void multiply(device::inside& on, const gc::panel_product& c) {
  size_t all = 0;
  for (size_t i = 0; i < (c.gated ? 1 : c.count); ++i) all += (c.parts[i].rows + panel_rows - 1) / panel_rows;
  const size_t tiles = (c.tokens + product_tokens - 1) / product_tokens;
  on.launch("panel_product", &product_panels<Type>, (all + product_warps - 1) / product_warps * tiles, product_warps * warp_size, sizeof(product_room<Type>), c);
}

}  // namespace

void device::run(const gc::to_panels& c) {
  if (c.w.type == storage::bf16) return pack<storage::bf16>(*in_, c);  // which become half floats here
  with_panels(c.w.type, [&]<storage Type>() { pack<Type>(*in_, c); });
}

void device::run(const gc::panel_product& c) {
  with_panels(c.type, [&]<storage Type>() { multiply<Type>(*in_, c); });
}

}  // namespace g4::G4_SPACE
