// Weights in panels times the many rows of a prompt, by the products of warpgroups: compute capability 9.0 alone.
#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "kernels/cuda/inside.h"
#include "kernels/cuda/launch_limits.h"
#include "kernels/cuda/panels.cuh"
#include "kernels/cuda/products.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

constexpr unsigned prompt_tokens = gc::to_cores::tokens_of_tile;

// Activations of a tile of 64 tokens lie in blocks of 32 columns, one behind the other:
//
//   [16 columns: 2][half float, what it leaves: 2][core along k: 2][core of 8 tokens: 8][8 tokens][8 columns]
//   [64 tokens] Σ of the 32 columns
//
// Of every 16 columns 4t, 4t+1 stand at k = 2t, 2t+1 and 4t+2, 4t+3 at 2t+8, 2t+9: where panels have them.
constexpr unsigned along_k = prompt_tokens / 8 * core_bytes, half_bytes = 2 * along_k, sixteen_bytes = 2 * half_bytes;
constexpr unsigned block_sums = 2 * sixteen_bytes;
constexpr unsigned block_bytes = gc::to_cores::block_bytes;
static_assert(block_bytes == block_sums + prompt_tokens * sizeof(float));

// ---- Activations into cores ------------------------------------------------------------------------------------------

constexpr unsigned core_warps = 4;

/// One warp a chunk of a token's columns, which has a power of two of its own. Rows beyond the last are noughts.
G4_KERNEL void __launch_bounds__(core_warps* warp_size) activations_to_cores(gc::to_cores c) {
  begin_in_turn();
  const size_t chunks = c.chunks(), blocks = c.columns / 32;
  const size_t i = size_t{blockIdx.x} * core_warps + warp_index(), token = i / chunks, chunk = i % chunks;
  if (token >= c.tiles() * prompt_tokens) return;
  const size_t from = chunk * c.chunk, tile = token / prompt_tokens;
  const auto count = static_cast<unsigned>(c.columns - from < c.chunk ? c.columns - from : c.chunk);
  const auto row = static_cast<unsigned>(token % prompt_tokens);
  const unsigned lane = lane_index();
  const bool there = token < c.tokens;
  const float* const x = c.x + token * c.columns + from;
  std::byte* const to = c.cores + (tile * blocks + from / 32) * block_bytes;
  const unsigned exponent = exponent_of_chunk(x, count, there);
  const float factor = power_of(exponent);
  for (unsigned n = lane; n < count; n += warp_size) {
    const two_halves both = as_two_halves(there ? x[n] * factor : 0.0f);
    const unsigned t = n % 16 / 4, j = n % 4, k = 2 * t + j % 2;
    std::byte* const at = to + n / 32 * block_bytes + n % 32 / 16 * sixteen_bytes + j / 2 * along_k +
                          row / 8 * core_bytes + row % 8 * 16 + k * 2;
    *reinterpret_cast<std::uint16_t*>(at) = both.first;
    *reinterpret_cast<std::uint16_t*>(at + half_bytes) = both.rest;
  }
  for (unsigned b = lane; b < count / 32; b += warp_size) {
    float sum = 0;
    for (unsigned n = 0; n < 32; ++n) {
      const two_halves both = as_two_halves(there ? x[32 * b + n] * factor : 0.0f);
      sum += float_of_half(both.first) + float_of_half(both.rest);
    }
    reinterpret_cast<float*>(to + b * block_bytes + block_sums)[row] = sum;
  }
  if (lane == 0) c.unscale[(tile * chunks + chunk) * prompt_tokens + row] = undoing(exponent);
}

// ---- Products --------------------------------------------------------------------------------------------------------

/// What a step is multiplied with, of 64 tokens: `few_activations` says what that is. Number 4j + i is of token 8j + 2t + i % 2.
struct many_activations {
  static constexpr unsigned numbers = prompt_tokens / 2;
  const std::byte* block;   ///< the step's first block of 32 columns
  std::uint64_t cores;      ///< of its first 16

  G4_DEVICE void multiply(float (&d)[numbers], const unsigned (&upper)[2], const unsigned (&lower)[2],
                          unsigned column) const {
    const unsigned a[4] = {upper[0], lower[0], upper[1], lower[1]};
    const std::uint64_t at = further(cores, column / 32 * block_bytes + column % 32 / 16 * sixteen_bytes);
    wgmma_fence();
    wgmma_64xNx16<prompt_tokens>::run(d, a, at);
    wgmma_64xNx16<prompt_tokens>::run(d, a, further(at, half_bytes));
  }
  G4_DEVICE void finish(float (&d)[numbers]) const { wgmma_wait(d); }
  G4_DEVICE float sum_of(unsigned i, unsigned of) const {
    const unsigned token = 8 * (i / 4) + 2 * (lane_index() % 4) + i % 2;
    return reinterpret_cast<const float*>(block + of * block_bytes + block_sums)[token];
  }
};

template <storage Type>
struct prompt_room {
  static constexpr unsigned stage_blocks = stage_columns<Type> / 32;
  alignas(128) byte ring[product_warps][ring_slots][stage_bytes<Type>];
  alignas(128) std::byte cores[ring_slots][stage_blocks * block_bytes];
  landing weights[product_warps][ring_slots], activations[ring_slots];
};

/// One warp a panel, four a warpgroup, and a block the same 64 tokens. Stages of columns arrive in rings of two: each warp's of
/// its panel, and the block's of activations. Sums are those of `product_panels`, in its order: chunks of columns, and in
/// them blocks with a scale.
template <storage Type>
G4_KERNEL void __launch_bounds__(product_warps* warp_size, 1) prompt_panels(gc::prompt_product c) {
  using form = panels<Type>;
  using room_of = prompt_room<Type>;
  static_assert(sizeof(room_of) <= most_shared_memory_of(90));
  static_assert(chunk_columns<Type> % stage_columns<Type> == 0 && chunk_columns<Type> == gc::panel_chunk(Type));
  G4_SHARED(room_of, shared);
  room_of& room = *shared;
  const unsigned warp = warp_index(), g = lane_index() / 4, t = lane_index() % 4;
  const size_t tiles = (c.tokens + prompt_tokens - 1) / prompt_tokens, tile = blockIdx.x % tiles;
  const size_t all = panels_of(c.rows), wanted = blockIdx.x / tiles * product_warps + warp;
  const size_t panel = wanted < all ? wanted : all - 1;  // no warp of a warpgroup stays away
  const size_t blocks = c.columns / 32, chunks = (c.columns + chunk_columns<Type> - 1) / chunk_columns<Type>;
  const auto stages = static_cast<unsigned>((c.columns + stage_columns<Type> - 1) / stage_columns<Type>);
  const auto columns_of = [&](unsigned stage) {
    const size_t left = c.columns - size_t{stage} * stage_columns<Type>;
    return static_cast<unsigned>(left < stage_columns<Type> ? left : stage_columns<Type>);
  };
  const auto fetch_weights = [&](unsigned n) {
    const auto* const steps = reinterpret_cast<const byte*>(c.panels) + panel * (c.columns / form::columns * form::bytes);
    room.weights[warp][n % ring_slots].copy(room.ring[warp][n % ring_slots], steps + size_t{n} * stage_bytes<Type>,
                                            columns_of(n) / form::columns * form::bytes);
  };
  const auto fetch_activations = [&](unsigned n) {
    room.activations[n % ring_slots].copy(room.cores[n % ring_slots],
                                          c.cores + (tile * blocks + size_t{n} * room_of::stage_blocks) * block_bytes,
                                          columns_of(n) / 32 * block_bytes);
  };
  for (unsigned slot = 0; slot < ring_slots; ++slot) {
    room.weights[warp][slot].begin();
    if (warp == 0) room.activations[slot].begin();
  }
  for (unsigned n = 0; n < ring_slots && n < stages; ++n) fetch_weights(n);
  let_next_begin();
  dependency_wait();
  if (warp == 0) {
    for (unsigned n = 0; n < ring_slots && n < stages; ++n) fetch_activations(n);
  }
  __syncthreads();  // whoever waits for activations knows where

  constexpr unsigned numbers = many_activations::numbers;
  float y[numbers] = {}, sum[numbers] = {};
  for (unsigned n = 0; n < stages; ++n) {
    const unsigned slot = n % ring_slots, count = columns_of(n);
    room.weights[warp][slot].wait(n / ring_slots & 1);
    room.activations[slot].wait(n / ring_slots & 1);
    const byte* step = room.ring[warp][slot];
    for (unsigned column = 0; column < count; column += form::columns, step += form::bytes) {
      const std::byte* const block = room.cores[slot] + column / 32 * block_bytes;
      form::run(step, many_activations{block, cores_at(block, along_k, core_bytes)}, sum);
    }
    const size_t done = size_t{n} * stage_columns<Type> + count;
    if (done % chunk_columns<Type> == 0 || done == c.columns) {
      const float* const unscale = c.unscale + (tile * chunks + (done - 1) / chunk_columns<Type>) * prompt_tokens;
      G4_UNROLL
      for (unsigned i = 0; i < numbers; ++i) {
        y[i] += sum[i] * unscale[8 * (i / 4) + 2 * t + i % 2];
        sum[i] = 0;
      }
    }
    __syncthreads();  // everybody has read both slots
    if (n + ring_slots >= stages) continue;
    fetch_weights(n + ring_slots);
    if (warp == 0) fetch_activations(n + ring_slots);
  }
  if (wanted >= all) return;
  G4_UNROLL
  for (unsigned i = 0; i < numbers; ++i) {
    const size_t row = panel * panel_rows + g + 8 * (i / 2 % 2), token = tile * prompt_tokens + 8 * (i / 4) + 2 * t + i % 2;
    if (row < c.rows && token < c.tokens) c.y[token * c.rows + row] = y[i];
  }
}

namespace {

template <storage Type>
void multiply_prompt(device::inside& on, const gc::prompt_product& c) {
  const size_t groups = (panels_of(c.rows) + product_warps - 1) / product_warps;
  const size_t tiles = (c.tokens + prompt_tokens - 1) / prompt_tokens;
  on.launch("prompt_product", &prompt_panels<Type>, groups * tiles, product_warps * warp_size, sizeof(prompt_room<Type>),
            c);
}

}  // namespace

void device::run(const gc::to_cores& c) {
  const size_t all = c.tiles() * prompt_tokens * c.chunks();
  in_->launch("to_cores", &activations_to_cores, (all + core_warps - 1) / core_warps, core_warps * warp_size, 0, c);
}

void device::run(const gc::prompt_product& c) {
  with_panels(c.type, [&]<storage Type>() { multiply_prompt<Type>(*in_, c); });
}

}  // namespace g4::G4_SPACE
