// y = x · Wᵀ with packed weights and 16-bit activations: 16-bit products summed in int32 over each block of 32 columns,
// one conversion to float per block. Definition: include/g4/ops/matmul.h; error: activations rounded to 14 bits.
#if defined(G4_KERNELS_CPU_PACKED_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_PACKED_MATMUL_INL_H_
#undef G4_KERNELS_CPU_PACKED_MATMUL_INL_H_
#else
#define G4_KERNELS_CPU_PACKED_MATMUL_INL_H_
#endif

#include <algorithm>

#include "g4/backend/calls.h"
#include "kernels/cpu/packed-inl.h"
#include "kernels/cpu/quantise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

// Where a panel's outputs go: all sixteen, or the rows that exist.
HWY_INLINE void write_panel(const float* sums, size_t rows, float* y) {
  if (rows == cpu::panel_rows) {
    for (size_t i = 0; i < cpu::panel_rows; i += lanes) {
      hn::StoreU(hn::LoadU(float_lanes(), sums + i), float_lanes(), y + i);
    }
  } else {
    std::copy(sums, sums + rows, y);
  }
}

// ---- One token: weights are used as they arrive from memory ----------------------------------------------------------

// Weights are asked for this many bytes before they are used, into the second-level cache. Zen 4, Q8_0, one thread: 12
// GB/s without, 16 at 2 KB, 18 at 8 KB, 24 at 32 KB, 23 beyond; into the first-level cache it gains nothing.
inline constexpr size_t early = 32768;

HWY_INLINE void fetch_early(const std::byte* p) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  __builtin_prefetch(p, 0, 2);
#else
  (void)p;
#endif
}

// The sixteen products of sub-block Sub in four chains, which hide the instruction's latency: even and odd pairs of
// columns 0-15, then of columns 16-31.
template <storage S, size_t Sub, size_t... Pair>
HWY_INLINE void dot_sub_block(const std::byte* block, const int16_t* x, size_t part, std::index_sequence<Pair...>,
                              sums32 (&chain)[4]) {
  ((chain[Pair / 8 * 2 + Pair % 2] =
        dot(chain[Pair / 8 * 2 + Pair % 2], level<S, Sub, Pair>(block, part), both_columns(x + 2 * Pair))),
   ...);
}

template <storage S, size_t Sub>
HWY_INLINE void add_sub_block(const std::byte* block, const std::byte* scales, const int16_t* x, float step,
                              const int32_t* sum, floats (&y)[parts]) {
  const float_lanes df;
  const int_lanes di;
  constexpr int offset = packed_facts<S>::offset;
  for (size_t part = 0; part < parts; ++part) {
    sums32 chain[4] = {hn::Set(di, -offset * sum[0]), hn::Zero(di), hn::Set(di, -offset * sum[1]), hn::Zero(di)};
    dot_sub_block<S, Sub>(block, x, part, std::make_index_sequence<16>(), chain);
    sums32 first = hn::Add(chain[0], chain[1]);
    sums32 second = hn::Add(chain[2], chain[3]);
    if constexpr (S == storage::q6_k) {
      first = hn::Mul(first, signed_scale(scales, 2 * Sub, part));
      second = hn::Mul(second, signed_scale(scales, 2 * Sub + 1, part));
    }
    const sums32 total = hn::Add(first, second);
    const floats factor = hn::Mul(scale<S, Sub>(scales, part), hn::Set(df, step));
    y[part] = hn::MulAdd(hn::ConvertTo(df, total), factor, y[part]);
    if constexpr (packed_facts<S>::has_minimum) {
      const floats x_sum = hn::Set(df, step * static_cast<float>(sum[0] + sum[1]));
      y[part] = hn::MulAdd(minimum<S, Sub>(scales, part), x_sum, y[part]);
    }
  }
}

template <storage S, size_t... Sub>
HWY_INLINE void add_block(const std::byte* block, const std::byte* scales, const int16_t* x, const float* step,
                          const int32_t* sum, std::index_sequence<Sub...>, floats (&y)[parts]) {
  (add_sub_block<S, Sub>(block, scales, x + 32 * Sub, step[Sub], sum + 2 * Sub, y), ...);
}

template <storage S>
HWY_INLINE void panel_times_vector(const cpu::packed_call& call, const std::byte* panel, float* sums) {
  using facts = packed_facts<S>;
  const size_t blocks = call.columns / facts::columns;
  const std::byte* scales = panel + blocks * facts::level_bytes;
  const std::byte* ahead = panel + early;
  floats y[parts];
  for (size_t part = 0; part < parts; ++part) y[part] = hn::Zero(float_lanes());
  const int16_t* x = call.x.levels;
  const float* step = call.x.step;
  const int32_t* sum = call.x.sum;
  for (size_t b = 0; b < blocks; ++b) {
    for (size_t line = 0; line < facts::level_bytes + facts::scale_bytes; line += 64) fetch_early(ahead + line);
    ahead += facts::level_bytes + facts::scale_bytes;
    add_block<S>(panel, scales, x, step, sum, std::make_index_sequence<facts::subs>(), y);
    panel += facts::level_bytes;
    scales += facts::scale_bytes;
    x += facts::columns;
    step += facts::subs;
    sum += 2 * facts::subs;
  }
  for (size_t part = 0; part < parts; ++part) hn::StoreU(y[part], float_lanes(), sums + part * lanes);
}

// ---- Many tokens: a panel is widened to 16 bits once and stays in the second-level cache -----------------------------

// A widened panel: levels with nothing left to add or to scale but `scale` (and `minimum`).
struct wide_panel {
  int16_t* levels;  // [blocks of 32, 16 pairs, 16 rows, 2]
  float* scale;     // [blocks, 16 rows]
  float* minimum;   // [blocks, 16 rows]
};

HWY_INLINE wide_panel wide_panel_in(std::byte* scratch, size_t blocks) {
  auto* levels = reinterpret_cast<int16_t*>(scratch);
  auto* scale = reinterpret_cast<float*>(scratch + blocks * 1024);
  return {levels, scale, scale + blocks * cpu::panel_rows};
}

template <storage S, size_t Sub, size_t... Pair>
HWY_INLINE void widen_sub_block(const std::byte* block, const std::byte* scales, std::index_sequence<Pair...>,
                                int16_t* out, float* scale_out, float* minimum_out) {
  const level_lanes dl;
  const float_lanes df;
  for (size_t part = 0; part < parts; ++part) {
    const levels16 offset = hn::Set(dl, packed_facts<S>::offset);
    if constexpr (S == storage::q6_k) {
      const auto pairs_of = [](sums32 v) HWY_ATTR {  // every row's scale twice
        const auto low = hn::And(v, hn::Set(int_lanes(), 0xffff));
        return hn::BitCast(level_lanes(), hn::Or(low, hn::ShiftLeft<16>(v)));
      };
      const levels16 first = pairs_of(signed_scale(scales, 2 * Sub, part));
      const levels16 second = pairs_of(signed_scale(scales, 2 * Sub + 1, part));
      (hn::StoreU(hn::Mul(hn::Sub(level<S, Sub, Pair>(block, part), offset), Pair < 8 ? first : second), dl,
                  out + 32 * Pair + part * 2 * lanes),
       ...);
    } else {
      (hn::StoreU(hn::Sub(level<S, Sub, Pair>(block, part), offset), dl, out + 32 * Pair + part * 2 * lanes), ...);
    }
    hn::StoreU(scale<S, Sub>(scales, part), df, scale_out + part * lanes);
    if constexpr (packed_facts<S>::has_minimum) {
      hn::StoreU(minimum<S, Sub>(scales, part), df, minimum_out + part * lanes);
    }
  }
}

template <storage S, size_t... Sub>
HWY_INLINE void widen_block(const std::byte* block, const std::byte* scales, std::index_sequence<Sub...>, int16_t* out,
                            float* scale_out, float* minimum_out) {
  (widen_sub_block<S, Sub>(block, scales, std::make_index_sequence<16>(), out + 512 * Sub, scale_out + 16 * Sub,
                           minimum_out + 16 * Sub),
   ...);
}

template <storage S>
inline void widen_panel(const cpu::packed_call& call, const std::byte* panel, const wide_panel& out) {
  using facts = packed_facts<S>;
  const size_t blocks = call.columns / facts::columns;
  const std::byte* scales = panel + blocks * facts::level_bytes;
  for (size_t b = 0; b < blocks; ++b) {
    const size_t first = b * facts::subs;
    widen_block<S>(panel + b * facts::level_bytes, scales + b * facts::scale_bytes,
                   std::make_index_sequence<facts::subs>(), out.levels + 512 * first, out.scale + 16 * first,
                   out.minimum + 16 * first);
  }
}

// Plain floats become 12-bit levels with one step per row and block of 32.
inline void widen_floats(const cpu::packed_call& call, size_t row, size_t rows, const wide_panel& out) {
  constexpr int top = 4096;
  const size_t stride = row_bytes(call.origin, call.columns);
  const size_t element = facts_of(call.origin).block_bytes;
  for (size_t r = 0; r < cpu::panel_rows; ++r) {
    const std::byte* from = call.w + (row + r) * stride;
    for (size_t b = 0; b < call.x.blocks; ++b) {
      HWY_ALIGN float weights[32] = {};
      HWY_ALIGN int32_t pairs[16];
      const size_t n = std::min<size_t>(32, call.columns - 32 * b);
      if (r < rows) unpack(call.origin, from + 32 * b * element, n, weights);
      out.scale[16 * b + r] = quantise_block(weights, top, reinterpret_cast<int16_t*>(pairs));
      for (size_t pair = 0; pair < 16; ++pair) {
        std::memcpy(out.levels + 512 * b + 32 * pair + 2 * r, pairs + pair, sizeof(int32_t));
      }
    }
  }
}

// Tokens [first, first + Tokens) times a widened panel.
template <size_t Tokens, bool Minimum>
HWY_INLINE void panel_times_tokens(const cpu::packed_call& call, const wide_panel& panel, size_t first, size_t rows,
                                   float* y) {
  const float_lanes df;
  const level_lanes dl;
  const size_t blocks = call.x.blocks;
  HWY_ALIGN float sums[Tokens][cpu::panel_rows];
  for (size_t part = 0; part < parts; ++part) {
    floats total[Tokens];
    for (size_t t = 0; t < Tokens; ++t) total[t] = hn::Zero(df);
    for (size_t b = 0; b < blocks; ++b) {
      const int16_t* w = panel.levels + 512 * b + part * 2 * lanes;
      const int16_t* x = call.x.levels + (first * blocks + b) * 32;
      sums32 acc[Tokens];
      for (size_t t = 0; t < Tokens; ++t) acc[t] = hn::Zero(int_lanes());
      for (size_t pair = 0; pair < 16; ++pair) {
        const levels16 weights = hn::LoadU(dl, w + 32 * pair);
        for (size_t t = 0; t < Tokens; ++t) {
          acc[t] = dot(acc[t], weights, both_columns(x + t * blocks * 32 + 2 * pair));
        }
      }
      const floats scale = hn::LoadU(df, panel.scale + 16 * b + part * lanes);
      for (size_t t = 0; t < Tokens; ++t) {
        const float step = call.x.step[(first + t) * blocks + b];
        total[t] = hn::MulAdd(hn::ConvertTo(df, acc[t]), hn::Mul(scale, hn::Set(df, step)), total[t]);
        if constexpr (Minimum) {
          const int32_t* sum = call.x.sum + 2 * ((first + t) * blocks + b);
          const floats x_sum = hn::Set(df, step * static_cast<float>(sum[0] + sum[1]));
          total[t] = hn::MulAdd(hn::LoadU(df, panel.minimum + 16 * b + part * lanes), x_sum, total[t]);
        }
      }
    }
    for (size_t t = 0; t < Tokens; ++t) hn::StoreU(total[t], df, sums[t] + part * lanes);
  }
  for (size_t t = 0; t < Tokens; ++t) write_panel(sums[t], rows, y + (first + t) * call.rows);
}

template <bool Minimum>
inline void panel_times_matrix(const cpu::packed_call& call, const wide_panel& panel, size_t rows, float* y) {
  // Twelve integer and twelve float sums with AVX-512's 32 registers, half as many with 16.
  constexpr size_t tile = lanes == 16 ? 12 : 6;
  size_t t = 0;
  for (; t + tile <= call.tokens; t += tile) panel_times_tokens<tile, Minimum>(call, panel, t, rows, y);
  for (; t + 3 <= call.tokens; t += 3) panel_times_tokens<3, Minimum>(call, panel, t, rows, y);
  for (; t < call.tokens; ++t) panel_times_tokens<1, Minimum>(call, panel, t, rows, y);
}

template <storage S>
inline void packed_matmul_of(const cpu::packed_call& call) {
  const size_t panel_bytes = cpu::packed_panel_bytes(S, call.columns);
  for (size_t p = call.first; p < call.first + call.count; ++p) {
    const size_t row = p * cpu::panel_rows;
    const size_t rows = std::min(cpu::panel_rows, call.rows - row);
    const std::byte* panel = call.w + p * panel_bytes;
    if (call.tokens == 1) {
      HWY_ALIGN float sums[cpu::panel_rows];
      panel_times_vector<S>(call, panel, sums);
      write_panel(sums, rows, call.y + row);
    } else {
      const wide_panel wide = wide_panel_in(call.scratch, call.x.blocks);
      widen_panel<S>(call, panel, wide);
      panel_times_matrix<packed_facts<S>::has_minimum>(call, wide, rows, call.y + row);
    }
  }
}

inline void plain_matmul(const cpu::packed_call& call) {
  const wide_panel wide = wide_panel_in(call.scratch, call.x.blocks);
  for (size_t p = call.first; p < call.first + call.count; ++p) {
    const size_t row = p * cpu::panel_rows;
    const size_t rows = std::min(cpu::panel_rows, call.rows - row);
    widen_floats(call, row, rows, wide);
    panel_times_matrix<false>(call, wide, rows, call.y + row);
  }
}

inline void packed_matmul(const cpu::packed_call& call) {
  switch (call.origin) {
    case storage::q4_0: return packed_matmul_of<storage::q4_0>(call);
    case storage::q4_1: return packed_matmul_of<storage::q4_1>(call);
    case storage::q5_0: return packed_matmul_of<storage::q5_0>(call);
    case storage::q5_1: return packed_matmul_of<storage::q5_1>(call);
    case storage::q8_0: return packed_matmul_of<storage::q8_0>(call);
    case storage::q4_k: return packed_matmul_of<storage::q4_k>(call);
    case storage::q5_k: return packed_matmul_of<storage::q5_k>(call);
    case storage::q6_k: return packed_matmul_of<storage::q6_k>(call);
    default: return plain_matmul(call);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PACKED_MATMUL_INL_H_
