// y = x · Wᵀ with weights in panels and 16-bit activations: 16-bit products summed in int32 over each block of 32 columns,
// one conversion to float per block. Definition: include/g4/ops/matmul.h; error: activations rounded to 14 bits.
#if defined(G4_KERNELS_CPU_PANEL_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_PANEL_MATMUL_INL_H_
#undef G4_KERNELS_CPU_PANEL_MATMUL_INL_H_
#else
#define G4_KERNELS_CPU_PANEL_MATMUL_INL_H_
#endif

#include <algorithm>

#include "g4/backend/cpu/calls.h"
#include "kernels/cpu/amx_matmul-inl.h"
#include "kernels/cpu/panels-inl.h"
#include "kernels/cpu/quantise-inl.h"
#include "kernels/cpu/to_panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

// ---- One token: weights are used as they arrive from memory ----------------------------------------------------------

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
                              const int32_t* sum, float x_total, size_t part, floats& y) {
  const float_lanes df;
  const int_lanes di;
  constexpr int offset = panel_facts<S>::offset;
  sums32 chain[4] = {hn::Set(di, -offset * sum[0]), hn::Zero(di), hn::Set(di, -offset * sum[1]), hn::Zero(di)};
  dot_sub_block<S, Sub>(block, x, part, std::make_index_sequence<16>(), chain);
  sums32 first = hn::Add(chain[0], chain[1]);
  sums32 second = hn::Add(chain[2], chain[3]);
  if constexpr (panel_facts<S>::halves) {
    first = hn::Mul(first, half_scale<S>(scales, 2 * Sub, part));
    second = hn::Mul(second, half_scale<S>(scales, 2 * Sub + 1, part));
  }
  const sums32 total = hn::Add(first, second);
  const floats factor = hn::Mul(scale<S, Sub>(scales, part), hn::Set(df, step));
  y = hn::MulAdd(hn::ConvertTo(df, total), factor, y);
  if constexpr (panel_facts<S>::minima == 1) y = hn::MulAdd(minimum<S, Sub>(scales, part), hn::Set(df, x_total), y);
  if constexpr (panel_facts<S>::minima == 2) {
    for (size_t n = 0; n < 2; ++n) {
      y = hn::MulAdd(minimum<S, Sub>(scales, part, n), hn::Set(df, step * static_cast<float>(sum[n])), y);
    }
  }
}

template <storage S, size_t... Sub>
HWY_INLINE void add_block(const std::byte* block, const std::byte* scales, const int16_t* x, const float* step,
                          const int32_t* sum, const float* total, std::index_sequence<Sub...>, size_t part, floats& y) {
  (add_sub_block<S, Sub>(block, scales, x + 32 * Sub, step[Sub], sum + 2 * Sub, total[Sub], part, y), ...);
}

// One vector of a panel's rows. With two or four vectors to a panel the later ones find it in the first-level cache.
template <storage S>
inline void panel_times_vector(const cpu::product_call& call, const std::byte* panel, size_t part, float* sums) {
  using facts = panel_facts<S>;
  const size_t blocks = call.columns / facts::columns;
  const std::byte* scales = panel + blocks * facts::level_bytes;
  const std::byte* ahead = panel + early;
  const int16_t* x = call.x.levels;
  const float* step = call.x.step;
  const int32_t* sum = call.x.sum;
  const float* total = call.x.total;
  floats y = hn::Zero(float_lanes());
  for (size_t b = 0; b < blocks; ++b) {
    if (part == 0) {
      for (size_t line = 0; line < facts::level_bytes + facts::scale_bytes; line += 64) fetch_early(ahead + line);
    }
    add_block<S>(panel, scales, x, step, sum, total, std::make_index_sequence<facts::subs>(), part, y);
    panel += facts::level_bytes;
    scales += facts::scale_bytes;
    ahead += facts::level_bytes + facts::scale_bytes;
    x += facts::columns;
    step += facts::subs;
    sum += 2 * facts::subs;
    total += facts::subs;
  }
  hn::StoreU(y, float_lanes(), sums);
}

// ---- Many tokens: panels are widened to 16 bits once and stay in the second-level cache ------------------------------

HWY_INLINE wide_panel wide_panel_in(std::byte* scratch) {
  auto* levels = reinterpret_cast<int16_t*>(scratch);
  auto* scale = reinterpret_cast<float*>(scratch + cpu::wide_blocks * 1024);
  return {levels, scale, scale + cpu::wide_blocks * cpu::panel_rows};
}

template <storage S, size_t Sub, size_t... Pair>
HWY_INLINE void widen_sub_block(const std::byte* block, const std::byte* scales, std::index_sequence<Pair...>,
                                int16_t* out, float* scale_out, float* minimum_out) {
  const level_lanes dl;
  const float_lanes df;
  for (size_t part = 0; part < parts; ++part) {
    const levels16 offset = hn::Set(dl, panel_facts<S>::offset);
    if constexpr (panel_facts<S>::halves) {
      const auto pairs_of = [](sums32 v) HWY_ATTR {  // every row's scale twice
        const auto low = hn::And(v, hn::Set(int_lanes(), 0xffff));
        return hn::BitCast(level_lanes(), hn::Or(low, hn::ShiftLeft<16>(v)));
      };
      const levels16 first = pairs_of(half_scale<S>(scales, 2 * Sub, part));
      const levels16 second = pairs_of(half_scale<S>(scales, 2 * Sub + 1, part));
      (hn::StoreU(hn::Mul(hn::Sub(level<S, Sub, Pair>(block, part), offset), Pair < 8 ? first : second), dl,
                  out + 32 * Pair + part * 2 * lanes),
       ...);
    } else {
      (hn::StoreU(hn::Sub(level<S, Sub, Pair>(block, part), offset), dl, out + 32 * Pair + part * 2 * lanes), ...);
    }
    hn::StoreU(scale<S, Sub>(scales, part), df, scale_out + part * lanes);
    for (size_t n = 0; n < panel_facts<S>::minima; ++n) {
      hn::StoreU(minimum<S, Sub>(scales, part, n), df, minimum_out + 16 * n + part * lanes);
    }
  }
}

template <storage S, size_t... Sub>
HWY_INLINE void widen_block(const std::byte* block, const std::byte* scales, std::index_sequence<Sub...>, int16_t* out,
                            float* scale_out, float* minimum_out) {
  (widen_sub_block<S, Sub>(block, scales, std::make_index_sequence<16>(), out + 512 * Sub, scale_out + 16 * Sub,
                           minimum_out + 16 * panel_facts<S>::minima * Sub),
   ...);
}

// Blocks [first, first + count) of a panel, counted in 32 columns; both are whole blocks of the storage.
template <storage S>
HWY_INLINE void widen(const cpu::product_call& call, size_t panel, size_t first, size_t count, const wide_panel& out) {
  using facts = panel_facts<S>;
  const std::byte* levels = call.w + (panel - call.first) * cpu::panel_size(S, call.columns);
  const std::byte* scales = levels + call.columns / facts::columns * facts::level_bytes;
  for (size_t b = 0; b < count / facts::subs; ++b) {
    const size_t from = first / facts::subs + b;
    const size_t to = b * facts::subs;
    widen_block<S>(levels + from * facts::level_bytes, scales + from * facts::scale_bytes,
                   std::make_index_sequence<facts::subs>(), out.levels + 512 * to, out.scale + 16 * to,
                   out.minimum + 16 * facts::minima * to);
  }
}

// Plain floats become levels.
inline void widen_floats(const cpu::product_call& call, size_t panel, size_t first, size_t count,
                         const wide_panel& out) {
  const size_t row = panel * cpu::panel_rows;
  const std::byte* const rows = call.w + (row - call.first * cpu::panel_rows) * row_bytes(call.origin, call.columns);
  floats_to_levels(call.origin, rows, std::min(cpu::panel_rows, call.rows - row), call.columns, first, count,
                   out.levels, out.scale);
}

// Those that are levels already stay where they are.
inline void find_levels(const cpu::product_call& call, size_t panel, size_t first, size_t, wide_panel& out) {
  const size_t blocks = call.x.blocks;
  auto* const at = const_cast<std::byte*>(call.w) + (panel - call.first) * cpu::panel_size(call.origin, call.columns);
  out = {reinterpret_cast<int16_t*>(at) + 512 * first, reinterpret_cast<float*>(at + 1024 * blocks) + 16 * first,
         reinterpret_cast<float*>(at + 1024 * blocks)};  // there are no minima
}

// What a tile works on: vectors of sixteen or fewer rows, from one panel or two neighbours.
struct tile_rows {
  const int16_t* levels;
  const float* scale;
  const float* minimum;
};

// One pair of columns of block b: Vectors vectors of rows, Tokens tokens.
template <size_t Tokens, size_t Vectors>
HWY_INLINE void dot_pair(const tile_rows (&w)[Vectors], const int16_t* x, size_t x_stride, size_t b, size_t pair,
                         sums32 (&acc)[Tokens][Vectors]) {
  levels16 weights[Vectors];
  G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
    weights[v] = hn::LoadU(level_lanes(), w[v].levels + 512 * b + 32 * pair);
  }
  G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
    const levels16 both = both_columns(x + t * x_stride);
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[t][v] = dot(acc[t][v], weights[v], both);
  }
}

// With 32 registers the float sums of a tile stay in them; with 16 they wait in memory while a block is summed.
inline constexpr bool totals_in_registers = lanes == 16 || !HWY_ARCH_X86;

// sums[t][v] += tokens [token, token + Tokens) times Vectors vectors of rows, over `count` blocks from `first`; the
// first block begins at nought.
template <size_t Tokens, size_t Vectors, size_t Minima>
HWY_INLINE void tile(const cpu::product_call& call, const tile_rows (&w)[Vectors], size_t token, size_t first,
                     size_t count, float* sums, size_t sums_stride) {
  const float_lanes df;
  const size_t row = call.x.blocks;
  const int16_t* x = call.x.levels + (token * row + first) * 32;
  const float* step = call.x.step + token * row + first;
  const float* x_total = call.x.total + token * row + first;
  const int32_t* sum = call.x.sum + 2 * (token * row + first);
  floats total[Tokens][Vectors];
  if constexpr (totals_in_registers) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
        total[t][v] = first == 0 ? hn::Zero(df) : hn::LoadU(df, sums + t * sums_stride + v * lanes);
      }
    }
  }
  for (size_t b = 0; b < count; ++b) {
    sums32 acc[Tokens][Vectors];
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[t][v] = hn::Zero(int_lanes());
    }
    if constexpr (totals_in_registers) {
      G4_UNROLL for (size_t pair = 0; pair < 16; ++pair) dot_pair(w, x + 32 * b + 2 * pair, row * 32, b, pair, acc);
    } else {
      G4_NO_UNROLL for (size_t pair = 0; pair < 16; ++pair) dot_pair(w, x + 32 * b + 2 * pair, row * 32, b, pair, acc);
    }
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      const floats scale = hn::LoadU(df, w[v].scale + 16 * b);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        float* const at = sums + t * sums_stride + v * lanes;
        floats sum_so_far = hn::Zero(df);
        if constexpr (totals_in_registers) {
          sum_so_far = total[t][v];
        } else {
          if (first + b != 0) sum_so_far = hn::LoadU(df, at);
        }
        const floats factor = hn::Mul(scale, hn::Set(df, step[t * row + b]));
        sum_so_far = hn::MulAdd(hn::ConvertTo(df, acc[t][v]), factor, sum_so_far);
        for (size_t n = 0; n < Minima; ++n) {
          const float x_sum = Minima == 1 ? x_total[t * row + b] : half_total(step, sum, t * row + b, n);
          sum_so_far = hn::MulAdd(hn::LoadU(df, w[v].minimum + 16 * (Minima * b + n)), hn::Set(df, x_sum), sum_so_far);
        }
        if constexpr (totals_in_registers) {
          total[t][v] = sum_so_far;
        } else {
          hn::StoreU(sum_so_far, df, at);
        }
      }
    }
  }
  if constexpr (totals_in_registers) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) hn::StoreU(total[t][v], df, sums + t * sums_stride + v * lanes);
    }
  }
}

// Panels beside one another in a tile: two with AVX-512, where a panel is one vector.
inline constexpr size_t neighbours = parts == 1 ? 2 : 1;

template <size_t Tokens, size_t Minima>
HWY_INLINE void tiles(const cpu::product_call& call, const wide_panel (&wide)[neighbours], size_t panels, size_t token,
                      size_t first, size_t count, float* sums, size_t stride) {
  const auto rows_of = [&](size_t p, size_t part) HWY_ATTR {
    return tile_rows{wide[p].levels + part * 2 * lanes, wide[p].scale + part * lanes, wide[p].minimum + part * lanes};
  };
  if constexpr (parts == 1) {
    if (panels == 2) {
      tile<Tokens, 2, Minima>(call, {rows_of(0, 0), rows_of(1, 0)}, token, first, count, sums, stride);
    } else {
      tile<Tokens, 1, Minima>(call, {rows_of(0, 0)}, token, first, count, sums, stride);
    }
  } else {
    for (size_t part = 0; part < parts; part += 2) {
      tile<Tokens, 2, Minima>(call, {rows_of(0, part), rows_of(0, part + 1)}, token, first, count, sums + part * lanes,
                              stride);
    }
  }
}

// Tokens [token, token + Tokens) times `panels` widened panels. Sums over earlier blocks wait in y.
template <size_t Tokens, size_t Minima>
HWY_INLINE void panels_times_tokens(const cpu::product_call& call, const wide_panel (&wide)[neighbours], size_t panel,
                                    size_t panels, size_t token, size_t first, size_t count) {
  const size_t row = panel * cpu::panel_rows;
  const size_t rows = panels * cpu::panel_rows;
  float* y = call.y + token * call.rows + row;
  if (row + rows <= call.rows) {
    tiles<Tokens, Minima>(call, wide, panels, token, first, count, y, call.rows);
    return;
  }
  // The last panel's missing rows have no place in y.
  constexpr size_t stride = neighbours * cpu::panel_rows;
  HWY_ALIGN float sums[Tokens * stride] = {};
  const size_t there = call.rows - row;
  for (size_t t = 0; t < Tokens && first != 0; ++t) {
    std::copy(y + t * call.rows, y + t * call.rows + there, sums + t * stride);
  }
  tiles<Tokens, Minima>(call, wide, panels, token, first, count, sums, stride);
  for (size_t t = 0; t < Tokens; ++t) {
    std::copy(sums + t * stride, sums + t * stride + there, y + t * call.rows);
  }
}

template <size_t Minima>
inline void panels_times_matrix(const cpu::product_call& call, const wide_panel (&wide)[neighbours], size_t panel,
                                size_t panels, size_t token, size_t tokens, size_t first, size_t count) {
  constexpr size_t most = totals_in_registers ? 6 : 4;  // 12 sums in integers and 12 in floats, or 8 in integers
  const size_t end = token + tokens;
  for (; token + most <= end; token += most) {
    panels_times_tokens<most, Minima>(call, wide, panel, panels, token, first, count);
  }
  for (; token + 2 <= end; token += 2) {
    panels_times_tokens<2, Minima>(call, wide, panel, panels, token, first, count);
  }
  for (; token < end; ++token) panels_times_tokens<1, Minima>(call, wide, panel, panels, token, first, count);
}

// Widen is called as widen(call, panel, first block, blocks, out). Where there are tiles they take sixteen tokens at a
// time, and vectors the rest: both give the same bits.
template <size_t Minima, bool Bytes, class Widen, class Tiles>
HWY_INLINE void blocked_matmul(const cpu::product_call& call, Widen widen_piece, Tiles& unit) {
  const size_t blocks = call.x.blocks;
  // Activations of a batch of tokens (up to 4 KB each) and two widened panels (64 KB each) share a second-level cache
  // of 512 KB or more. Rounding plain floats costs more than reading activations from further away.
  size_t unit_tokens = 12;
  if constexpr (Tiles::possible) unit_tokens = unit.on() ? amx_tokens : 12;
  const size_t fit = 640 * 1024 / (64 * std::min(cpu::wide_blocks, blocks));
  const size_t batch = cpu::has_panels(call.origin) || call.in_levels ? fit / unit_tokens * unit_tokens : 512;
  for (size_t token = 0; token < call.tokens; token += batch) {
    const size_t tokens = std::min(batch, call.tokens - token);
    for (size_t first = 0; first < blocks; first += cpu::wide_blocks) {
      const size_t count = std::min(cpu::wide_blocks, blocks - first);
      for (size_t p = call.first; p < call.first + call.count; p += neighbours) {
        const size_t panels = std::min(neighbours, call.first + call.count - p);
        wide_panel wide[neighbours];
        for (size_t i = 0; i < neighbours; ++i) wide[i] = wide_panel_in(call.scratch + i * cpu::wide_bytes);
        for (size_t i = 0; i < panels; ++i) widen_piece(call, p + i, first, count, wide[i]);
        size_t done = 0;
        if constexpr (Tiles::possible) {
          if (unit.on()) {
            done = tokens / amx_tokens * amx_tokens;
            for (size_t i = 0; i < panels; ++i) {
              panel_times_tiles<Minima, Bytes>(call, unit, wide[i], p + i, token, done, first, count);
            }
          }
        }
        panels_times_matrix<Minima>(call, wide, p, panels, token + done, tokens - done, first, count);
      }
    }
  }
}

template <storage S>
inline void panel_matmul_of(const cpu::product_call& call) {
  if (call.tokens > 1) {
    matmul_tiles unit(call.tokens >= amx_tokens);
    return blocked_matmul<panel_facts<S>::minima, levels_are_bytes<S>>(call, widen<S>, unit);
  }
  const size_t panel_bytes = cpu::panel_size(S, call.columns);
  for (size_t p = call.first; p < call.first + call.count; ++p) {
    const size_t row = p * cpu::panel_rows;
    HWY_ALIGN float sums[cpu::panel_rows];
    for (size_t part = 0; part < parts; ++part) {
      panel_times_vector<S>(call, call.w + (p - call.first) * panel_bytes, part, sums + part * lanes);
    }
    std::copy(sums, sums + std::min(cpu::panel_rows, call.rows - row), call.y + row);
  }
}

// Several files compile them (panel_matmul*.cc), since each storage unrolls into a kernel of its own and all together took
// a compiler more than a minute.
inline void panel_matmul_k(const cpu::product_call& call) {
  return call.origin == storage::q4_k ? panel_matmul_of<storage::q4_k>(call) : panel_matmul_of<storage::q5_k>(call);
}

inline void panel_matmul_q6_k(const cpu::product_call& call) {
  return call.origin == storage::q6_k ? panel_matmul_of<storage::q6_k>(call) : panel_matmul_of<storage::q3_k>(call);
}

inline void panel_matmul_q2_k(const cpu::product_call& call) { panel_matmul_of<storage::q2_k>(call); }

inline void panel_matmul_iq4(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::iq4_nl: return panel_matmul_of<storage::iq4_nl>(call);
    case storage::iq4_xs: return panel_matmul_of<storage::iq4_xs>(call);
    default: return panel_matmul_of<storage::mxfp4>(call);
  }
}

inline void panel_matmul_floats(const cpu::product_call& call) {
  matmul_tiles unit(call.tokens >= amx_tokens);
  if (call.in_levels) return blocked_matmul<0, false>(call, find_levels, unit);
  blocked_matmul<0, false>(call, widen_floats, unit);
}

inline void panel_matmul_32(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q4_0: return panel_matmul_of<storage::q4_0>(call);
    case storage::q4_1: return panel_matmul_of<storage::q4_1>(call);
    case storage::q5_0: return panel_matmul_of<storage::q5_0>(call);
    case storage::q5_1: return panel_matmul_of<storage::q5_1>(call);
    case storage::q8_0: return panel_matmul_of<storage::q8_0>(call);
    default: return panel_matmul_floats(call);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANEL_MATMUL_INL_H_
