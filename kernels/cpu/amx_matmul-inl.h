// y = x · Wᵀ for sixteen tokens and sixteen rows at a time on a tile unit: the sums of panel_matmul-inl.h, bit for bit.
//
// Activations lie as a tile wants them: 32 levels of 16 bits are the 64 bytes of a row, and a widened block of weights,
// [16 pairs, 16 rows, 2], is a tile but for its numbers being of 16 bits too. A product of two such numbers is one of
// their bytes, x = 256·x₁ + x₀ and w = 256·w₁ + w₀ with x₀, w₀ unsigned:
//
//     Σ x·w = Σ x₀·w₀ + 256 · Σ (x₁·w₀ + x₀·w₁) + 65536 · Σ x₁·w₁        modulo 2³², and every sum fits an int32
//
// Weights are split so that only such bytes meet: a tile (w, 0, w, 0, …) meets every x₀, a tile (0, w, 0, w, …) every x₁.
// Levels that fit a signed byte need two of the four products.
#if defined(G4_KERNELS_CPU_AMX_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_AMX_MATMUL_INL_H_
#undef G4_KERNELS_CPU_AMX_MATMUL_INL_H_
#else
#define G4_KERNELS_CPU_AMX_MATMUL_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "g4/backend/cpu/calls.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

// Every processor with tiles has the 16-bit dot products of AVX3_DL, and only there a panel's rows are one vector.
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX3_DL
using matmul_tiles = cpu::amx_tiles;
#else
using matmul_tiles = cpu::no_tiles;
#endif

// Fewer tokens would leave rows of a tile empty, and weights be split for little: those are multiplied by vectors.
inline constexpr size_t amx_tokens = cpu::tile_rows;
static_assert(cpu::panel_rows == cpu::tile_row_bytes / 4);

// Whether what `widen` gives fits a signed byte. Q6_K levels are multiplied with their scales and reach ±4096, Q3_K's 128.
template <storage S>
inline constexpr bool levels_are_bytes = panel_facts<S>::largest < 128;

// How a product is cut. Split weights of `blocks` blocks (16 KB) stay in the first-level cache, beside the activations of
// sixteen tokens and two blocks' sums.
template <bool Bytes>
struct tile_cut {
  static constexpr size_t levels = cpu::tile_bytes / sizeof(int16_t);
  static constexpr size_t tiles = Bytes ? 2 : 4;  // of weights, per block
  static constexpr size_t blocks = 16 / tiles;
  static constexpr size_t sums = cpu::tile_bytes / sizeof(int32_t);
  static constexpr size_t sum_tiles = 3;  // a power of 256 each; the last one unused when Bytes
};

// Blocks of [16 pairs, 16 rows, 2] become tiles (w₀, 0, …), (0, w₀, …) and, unless Bytes, (w₁, 0, …), (0, w₁, …).
template <bool Bytes>
HWY_INLINE void split_levels(const int16_t* levels, size_t blocks, int16_t* out) {
  using cut = tile_cut<Bytes>;
  const level_lanes dl;
  const hn::RebindToUnsigned<level_lanes> du;
  const auto low = hn::Set(du, uint16_t{0xff});
  for (size_t b = 0; b < blocks; ++b, levels += cut::levels, out += cut::tiles * cut::levels) {
    for (size_t i = 0; i < cut::levels; i += 2 * lanes) {
      const auto put = [&](size_t tile, auto bits)
                           HWY_ATTR { hn::StoreU(hn::BitCast(dl, bits), dl, out + tile * cut::levels + i); };
      const auto w = hn::BitCast(du, hn::LoadU(dl, levels + i));
      put(0, hn::And(w, low));
      put(1, hn::ShiftLeft<8>(w));
      if constexpr (!Bytes) {
        put(2, hn::ShiftRight<8>(w));
        put(3, hn::AndNot(low, w));
      }
    }
  }
}

// Sums of one block for sixteen tokens and sixteen rows, a tile for each power of 256.
//
// x      [16 tokens] `x_stride` bytes apart, 32 levels
// w      the block's tiles of split_levels
// sums   [3, 16 tokens, 16 rows]
template <bool Bytes, class Tiles>
HWY_INLINE void multiply_block(Tiles& unit, const int16_t* x, size_t x_stride, const int16_t* w, int32_t* sums) {
  using cut = tile_cut<Bytes>;
  constexpr cpu::tile_name<0> ones;
  constexpr cpu::tile_name<1> of_256;
  constexpr cpu::tile_name<2> of_65536;
  constexpr cpu::tile_name<3> x_tile;
  constexpr cpu::tile_name<4> w0_for_x0;
  constexpr cpu::tile_name<5> w0_for_x1;
  constexpr cpu::tile_name<6> w1_for_x0;
  constexpr cpu::tile_name<7> w1_for_x1;
  constexpr size_t row = cpu::tile_row_bytes;
  unit.load(x_tile, x, x_stride);
  unit.load(w0_for_x0, w, row);
  unit.load(w0_for_x1, w + cut::levels, row);
  unit.zero(ones);
  unit.zero(of_256);
  if constexpr (Bytes) {
    unit.add_us(ones, x_tile, w0_for_x0);
    unit.add_ss(of_256, x_tile, w0_for_x1);
  } else {
    unit.load(w1_for_x0, w + 2 * cut::levels, row);
    unit.load(w1_for_x1, w + 3 * cut::levels, row);
    unit.zero(of_65536);
    unit.add_uu(ones, x_tile, w0_for_x0);
    unit.add_su(of_256, x_tile, w0_for_x1);
    unit.add_ss(of_65536, x_tile, w1_for_x1);
    unit.add_us(of_256, x_tile, w1_for_x0);
    unit.store(of_65536, sums + 2 * cut::sums, row);
  }
  unit.store(ones, sums, row);
  unit.store(of_256, sums + cut::sums, row);
}

// total[token] += what the block's sums stand for, in the operations and the order of `tile` in panel_matmul-inl.h.
//
// step, x_total   [16 tokens] `stride` floats apart; x_sums the same with two numbers for each
template <bool Bytes, size_t Minima>
HWY_INLINE void add_block_of_tiles(const int32_t* sums, const float* scale, const float* minimum, const float* step,
                                   const float* x_total, const int32_t* x_sums, size_t stride,
                                   floats (&total)[amx_tokens][parts]) {
  constexpr size_t tile = tile_cut<Bytes>::sums;
  const float_lanes df;
  const int_lanes di;
  G4_UNROLL for (size_t part = 0; part < parts; ++part) {
    const floats scales = hn::LoadU(df, scale + part * lanes);
    G4_UNROLL for (size_t t = 0; t < amx_tokens; ++t) {
      const int32_t* at = sums + t * cpu::panel_rows + part * lanes;
      sums32 sum = hn::Add(hn::LoadU(di, at), hn::ShiftLeft<8>(hn::LoadU(di, at + tile)));
      if constexpr (!Bytes) sum = hn::Add(sum, hn::ShiftLeft<16>(hn::LoadU(di, at + 2 * tile)));
      const floats factor = hn::Mul(scales, hn::Set(df, step[t * stride]));
      total[t][part] = hn::MulAdd(hn::ConvertTo(df, sum), factor, total[t][part]);
      for (size_t n = 0; n < Minima; ++n) {
        const floats minima = hn::LoadU(df, minimum + 16 * n + part * lanes);
        const float x_sum = Minima == 1 ? x_total[t * stride] : half_total(step, x_sums, t * stride, n);
        total[t][part] = hn::MulAdd(minima, hn::Set(df, x_sum), total[t][part]);
      }
    }
  }
}

// y[t] += sixteen tokens from `token` times a panel's split weights, blocks [first, first + count); block nought begins
// at nought. The tile unit multiplies a block while vectors add up the one before.
template <size_t Minima, bool Bytes, class Tiles>
HWY_INLINE void sixteen_tokens(const cpu::product_call& call, Tiles& unit, const int16_t* split, const float* scale,
                               const float* minimum, size_t token, size_t first, size_t count, int32_t* sums, float* y,
                               size_t y_stride) {
  using cut = tile_cut<Bytes>;
  const float_lanes df;
  const size_t row = call.x.blocks;
  const int16_t* x = call.x.levels + (token * row + first) * 32;
  const float* step = call.x.step + token * row + first;
  const float* x_total = call.x.total + token * row + first;
  const int32_t* x_sums = call.x.sum + 2 * (token * row + first);
  floats total[amx_tokens][parts];
  G4_UNROLL for (size_t t = 0; t < amx_tokens; ++t) {
    G4_UNROLL for (size_t part = 0; part < parts; ++part) {
      total[t][part] = first == 0 ? hn::Zero(df) : hn::LoadU(df, y + t * y_stride + part * lanes);
    }
  }
  int32_t* ready = sums;
  int32_t* next = sums + cut::sum_tiles * cut::sums;
  multiply_block<Bytes>(unit, x, row * 64, split, ready);
  for (size_t b = 0; b < count; ++b) {
    if (b + 1 < count) {
      multiply_block<Bytes>(unit, x + 32 * (b + 1), row * 64, split + (b + 1) * cut::tiles * cut::levels, next);
    }
    add_block_of_tiles<Bytes, Minima>(ready, scale + 16 * b, minimum + 16 * Minima * b, step + b, x_total + b,
                                      x_sums + 2 * b, row, total);
    std::swap(ready, next);
  }
  G4_UNROLL for (size_t t = 0; t < amx_tokens; ++t) {
    G4_UNROLL for (size_t part = 0; part < parts; ++part) {
      hn::StoreU(total[t][part], df, y + t * y_stride + part * lanes);
    }
  }
}

// Tokens [token, token + tokens), a multiple of sixteen, times a widened piece of a panel: blocks [first, first + count).
// Sums over earlier blocks wait in y.
template <size_t Minima, bool Bytes, class Tiles>
inline void panel_times_tiles(const cpu::product_call& call, Tiles& unit, const wide_panel& wide, size_t panel,
                              size_t token, size_t tokens, size_t first, size_t count) {
  using cut = tile_cut<Bytes>;
  static_assert(cpu::tile_bytes * (cut::blocks * cut::tiles + 2 * cut::sum_tiles) <= cpu::amx_scratch);
  auto* split = reinterpret_cast<int16_t*>(call.scratch + 2 * cpu::wide_bytes);
  auto* sums = reinterpret_cast<int32_t*>(split + cut::blocks * cut::tiles * cut::levels);
  const size_t row = panel * cpu::panel_rows;
  const size_t there = std::min(cpu::panel_rows, call.rows - row);
  for (size_t b = 0; b < count; b += cut::blocks) {
    const size_t n = std::min(cut::blocks, count - b);
    split_levels<Bytes>(wide.levels + cut::levels * b, n, split);
    const auto sixteen = [&](size_t t, float* y, size_t y_stride) HWY_ATTR {
      sixteen_tokens<Minima, Bytes>(call, unit, split, wide.scale + 16 * b, wide.minimum + 16 * Minima * b, t,
                                    first + b, n, sums, y, y_stride);
    };
    for (size_t t = token; t < token + tokens; t += amx_tokens) {
      float* y = call.y + t * call.apart() + row;
      if (there == cpu::panel_rows) {
        sixteen(t, y, call.apart());
      } else {  // the last panel's missing rows have no place in y
        HWY_ALIGN float all[amx_tokens * cpu::panel_rows] = {};
        for (size_t i = 0; i < amx_tokens && first + b != 0; ++i) {
          std::copy(y + i * call.apart(), y + i * call.apart() + there, all + i * cpu::panel_rows);
        }
        sixteen(t, all, cpu::panel_rows);
        for (size_t i = 0; i < amx_tokens; ++i) {
          std::copy(all + i * cpu::panel_rows, all + i * cpu::panel_rows + there, y + i * call.apart());
        }
      }
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_AMX_MATMUL_INL_H_
