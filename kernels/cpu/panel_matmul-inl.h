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
#include "kernels/cpu/panel_matmul_bytes-inl.h"
#include "kernels/cpu/panels-inl.h"
#include "kernels/cpu/quantise-inl.h"
#include "kernels/cpu/to_panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

// ---- One token or two: weights are used as they arrive from memory ---------------------------------------------------

// Levels of a storage that are multiplied in digits; where the sum of two products of a byte fills 16 bits, whole levels are
// no more work.
template <storage S>
inline constexpr bool in_digits = by_digits && !(in_pairs && kind_of<S, two_digits>.together == 1);

// Vectors of a panel's rows that one pass over it multiplies. Both of AVX2's: an activation that was read is of use to both, and
// the panel comes from memory evenly.
inline constexpr size_t parts_at_once = in_pairs ? parts : 1;

// Chains that the products of a half are summed in: two hide the latency of an instruction that also adds.
inline constexpr size_t chains = in_pairs ? 1 : 2;

// The Pair-th pair of columns of sub-block Sub times one token's levels.
template <storage S, size_t Sub, size_t Pair, size_t Parts>
HWY_INLINE void dot_levels(const std::byte* block, const int16_t* x, size_t part, sums32 (&chain)[Parts][2][chains]) {
  const levels16 both = both_columns(x + 2 * Pair);
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    sums32& sum = chain[p][Pair / 8][Pair % chains];
    sum = dot(sum, level<S, Sub, Pair>(block, part + p), both);
  }
}

// Sums of the sub-block's two halves, for one token; as dot_sub_block_of_digits.
template <storage S, size_t Sub, size_t Parts, size_t... Pair>
HWY_INLINE void dot_sub_block(const std::byte* block, const int16_t* x, const int32_t* x_sum, size_t part,
                              std::index_sequence<Pair...>, sums32 (&sums)[Parts][1][2]) {
  const int_lanes di;
  sums32 chain[Parts][2][chains];
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    G4_UNROLL for (size_t half = 0; half < 2; ++half) {
      chain[p][half][0] = hn::Set(di, -panel_facts<S>::offset * x_sum[half]);
      if constexpr (chains == 2) chain[p][half][1] = hn::Zero(di);
    }
  }
  (dot_levels<S, Sub, Pair>(block, x, part, chain), ...);
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    G4_UNROLL for (size_t half = 0; half < 2; ++half) {
      sums[p][0][half] = chain[p][half][0];
      if constexpr (chains == 2) sums[p][0][half] = hn::Add(sums[p][0][half], chain[p][half][1]);
    }
  }
}

// Asks for a block's lines, on AVX2 for the Sub-th sub-block's share of them: all of 256 columns at once would leave the memory
// nothing to do for as long as they take to be multiplied there. AVX-512 is no faster for it.
template <storage S, size_t Sub>
HWY_INLINE void fetch_share(const std::byte* ahead) {
  using facts = panel_facts<S>;
  constexpr size_t lines = (facts::level_bytes + facts::scale_bytes + 63) / 64;
  constexpr size_t shares = in_pairs ? facts::subs : 1;
  if constexpr (Sub < shares) {
    G4_UNROLL for (size_t i = Sub * lines / shares; i < (Sub + 1) * lines / shares; ++i) fetch_early(ahead + 64 * i);
  }
}

// Sub-block Sub of the call's block `b` (counted in 32 columns), for Parts vectors of rows and Tokens tokens from `token`.
//
// ahead   what to ask for meanwhile; null where another pass does
template <storage S, size_t Sub, size_t Parts, size_t Tokens>
HWY_INLINE void add_sub_block(const std::byte* block, const std::byte* scales, const std::byte* ahead,
                              const cpu::activations& x, size_t token, size_t b, size_t part,
                              floats (&y)[Parts][Tokens]) {
  if (Parts == parts || ahead != nullptr) fetch_share<S, Sub>(ahead);
  const float_lanes df;
  const size_t row = x.blocks;
  const size_t begin = token * row + b + Sub;
  const int32_t* sum = x.sum + 2 * begin;
  sums32 sums[Parts][Tokens][2];
  if constexpr (in_digits<S>) {
    dot_sub_block_of_digits<S, Sub>(block, x.digits + 64 * begin, 64 * row, sum, 2 * row, part,
                                    std::make_index_sequence<8>(), sums);
  } else {
    dot_sub_block<S, Sub>(block, x.levels + 32 * begin, sum, part, std::make_index_sequence<16>(), sums);
  }
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    const floats scales_of_rows = scale<S, Sub>(scales, part + p);
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      if constexpr (panel_facts<S>::halves) {
        for (size_t half = 0; half < 2; ++half)
          sums[p][t][half] = hn::Mul(sums[p][t][half], half_scale<S>(scales, 2 * Sub + half, part + p));
      }
      const size_t at = begin + t * row;
      const sums32 total = hn::Add(sums[p][t][0], sums[p][t][1]);
      const floats factor = hn::Mul(scales_of_rows, hn::Set(df, x.step[at]));
      y[p][t] = hn::MulAdd(hn::ConvertTo(df, total), factor, y[p][t]);
      constexpr size_t minima = panel_facts<S>::minima;
      for (size_t n = 0; n < minima; ++n) {
        const float x_sum = minima == 1 ? x.total[at] : half_total(x.step, x.sum, at, n);
        y[p][t] = hn::MulAdd(minimum<S, Sub>(scales, part + p, n), hn::Set(df, x_sum), y[p][t]);
      }
    }
  }
}

// For a whole panel, and not inlined: of eight sub-blocks together g++ 12 computes addresses ahead and keeps them in memory.
template <storage S, size_t Sub, size_t Tokens>
HWY_NOINLINE void add_sub_block_apart(const std::byte* block, const std::byte* scales, const std::byte* ahead,
                                      const cpu::activations& x, size_t token, size_t b, floats (&y)[parts][Tokens]) {
  add_sub_block<S, Sub>(block, scales, ahead, x, token, b, 0, y);
}

template <storage S, size_t Parts, size_t Tokens, size_t... Sub>
HWY_INLINE void add_block(const std::byte* block, const std::byte* scales, const std::byte* ahead,
                          const cpu::activations& x, size_t token, size_t b, std::index_sequence<Sub...>, size_t part,
                          floats (&y)[Parts][Tokens]) {
  if constexpr (in_pairs && sizeof...(Sub) > 1) {
    (add_sub_block_apart<S, Sub>(block, scales, ahead, x, token, b, y), ...);
  } else {
    (add_sub_block<S, Sub>(block, scales, ahead, x, token, b, part, y), ...);
  }
}

// Parts vectors of a panel's rows times Tokens tokens. Vectors that follow in a pass of their own find the panel in the
// first-level cache.
template <storage S, size_t Parts, size_t Tokens>
inline void panel_times_vectors(const cpu::product_call& call, const std::byte* panel, size_t token, size_t part,
                                float* sums) {
  using facts = panel_facts<S>;
  if constexpr (Parts == parts) part = 0;  // so that the compiler knows
  const size_t blocks = call.columns / facts::columns;
  const std::byte* scales = panel + blocks * facts::level_bytes;
  const std::byte* ahead = panel + early;
  floats y[Parts][Tokens];
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) y[p][t] = hn::Zero(float_lanes());
  }
  // Of a whole panel every pass asks: whether it has to costs one token more than asking again costs the next ones.
  const bool fetch = Parts == parts || (part == 0 && token == 0);
  for (size_t b = 0; b < blocks; ++b) {
    add_block<S>(panel, scales, fetch ? ahead : nullptr, call.x, token, b * facts::subs,
                 std::make_index_sequence<facts::subs>(), part, y);
    panel += facts::level_bytes;
    scales += facts::scale_bytes;
    ahead += facts::level_bytes + facts::scale_bytes;
  }
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      hn::StoreU(y[p][t], float_lanes(), sums + t * cpu::panel_rows + p * lanes);
    }
  }
}

// Tokens [token, token + Tokens) times a panel.
template <storage S, size_t Tokens>
HWY_INLINE void panel_times_tokens(const cpu::product_call& call, const std::byte* panel, size_t p, size_t token) {
  const size_t row = p * cpu::panel_rows;
  HWY_ALIGN float sums[Tokens * cpu::panel_rows];
  for (size_t part = 0; part < parts; part += parts_at_once) {
    panel_times_vectors<S, parts_at_once, Tokens>(call, panel, token, part, sums + part * lanes);
  }
  for (size_t t = 0; t < Tokens; ++t) {
    const float* const from = sums + t * cpu::panel_rows;
    std::copy(from, from + std::min(cpu::panel_rows, call.rows - row), call.y + (token + t) * call.apart() + row);
  }
}

// Up to so many tokens are multiplied so; for more, levels are better taken apart once: as bytes, or on AVX2 in 16 bits.
inline constexpr size_t direct_tokens = by_digits ? 2 : 1;

template <storage S>
inline void direct_matmul_of(const cpu::product_call& call) {
  const size_t panel_bytes = cpu::panel_size(S, call.columns);
  for (size_t p = call.first; p < call.first + call.count; ++p) {
    const std::byte* const panel = call.w + (p - call.first) * panel_bytes;
    size_t token = 0;
    if constexpr (by_digits && !in_pairs) {  // two tokens' sums and two vectors' would not fit AVX2's registers
      for (; token + 2 <= call.tokens; token += 2) panel_times_tokens<S, 2>(call, panel, p, token);
    }
    for (; token < call.tokens; ++token) panel_times_tokens<S, 1>(call, panel, p, token);
  }
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
template <class Dots, size_t Tokens, size_t Vectors>
HWY_INLINE void dot_pair(const tile_rows (&w)[Vectors], const int16_t* x, size_t x_stride, size_t b, size_t pair,
                         sums32 (&acc)[Tokens][Vectors]) {
  levels16 weights[Vectors];
  G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
    weights[v] = hn::LoadU(level_lanes(), w[v].levels + 512 * b + 32 * pair);
  }
  G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
    const levels16 both = both_columns(x + t * x_stride);
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) acc[t][v] = Dots::add(acc[t][v], weights[v], both);
  }
}

// With 32 registers the float sums of a tile stay in them; with 16 they wait in memory while a block is summed.
inline constexpr bool totals_in_registers = lanes == 16 || !HWY_ARCH_X86;

// Asks for what follows in memory while a tile is multiplied, `step` bytes further each time. All at once, before the tiles, the
// memory would have nothing to do for as long as they take.
struct asking {
  static constexpr size_t per_block = 8;  // by a tile, for each block of its activations
  const std::byte* next;
  size_t step;
  HWY_INLINE void ask() {
    fetch_early(next);
    next += step;
  }
};
struct asking_nothing {
  HWY_INLINE void ask() {}
};

// sums[t][v] += tokens [token, token + Tokens) times Vectors vectors of rows, over `count` blocks from `first`; the
// first block begins at nought.
template <class Dots, size_t Tokens, size_t Vectors, size_t Minima, class Asking>
HWY_INLINE void tile(const cpu::product_call& call, const tile_rows (&w)[Vectors], size_t token, size_t first,
                     size_t count, float* sums, size_t sums_stride, Asking& ahead) {
  const float_lanes df;
  const size_t row = call.x.blocks;
  const int16_t* x = call.x.levels + (token * row + first) * 32;
  const float* step = call.x.step + token * row + first;
  const float* x_total = call.x.total + token * row + first;
  const int32_t* sum = call.x.sum + 2 * (token * row + first);
  [[maybe_unused]] Asking asks = ahead;  // in registers
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
      G4_UNROLL for (size_t pair = 0; pair < 16; ++pair)
          dot_pair<Dots>(w, x + 32 * b + 2 * pair, row * 32, b, pair, acc);
    } else {
      for (size_t pair = 0; pair < 16; pair += 4) {
        G4_UNROLL for (size_t i = 0; i < 4; ++i) {
          if (i % (16 / asking::per_block) == 0) asks.ask();
          dot_pair<Dots>(w, x + 32 * b + 2 * (pair + i), row * 32, b, pair + i, acc);
        }
      }
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
  ahead = asks;
  if constexpr (totals_in_registers) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) hn::StoreU(total[t][v], df, sums + t * sums_stride + v * lanes);
    }
  }
}

// Panels beside one another in a tile: two with AVX-512, where a panel is one vector.
inline constexpr size_t neighbours = parts == 1 ? 2 : 1;

template <class Dots, size_t Tokens, size_t Minima, class Asking>
HWY_INLINE void tiles(const cpu::product_call& call, const wide_panel (&wide)[neighbours], size_t panels, size_t token,
                      size_t first, size_t count, float* sums, size_t stride, Asking& ahead) {
  const auto rows_of = [&](size_t p, size_t part) HWY_ATTR {
    return tile_rows{wide[p].levels + part * 2 * lanes, wide[p].scale + part * lanes, wide[p].minimum + part * lanes};
  };
  if constexpr (parts == 1) {
    if (panels == 2) {
      tile<Dots, Tokens, 2, Minima>(call, {rows_of(0, 0), rows_of(1, 0)}, token, first, count, sums, stride, ahead);
    } else {
      tile<Dots, Tokens, 1, Minima>(call, {rows_of(0, 0)}, token, first, count, sums, stride, ahead);
    }
  } else {
    for (size_t part = 0; part < parts; part += 2) {
      tile<Dots, Tokens, 2, Minima>(call, {rows_of(0, part), rows_of(0, part + 1)}, token, first, count,
                                    sums + part * lanes, stride, ahead);
    }
  }
}

// Tokens [token, token + Tokens) times `panels` widened panels. Sums over earlier blocks wait in y.
template <class Dots, size_t Tokens, size_t Minima, class Asking>
HWY_INLINE void panels_times_tokens(const cpu::product_call& call, const wide_panel (&wide)[neighbours], size_t panel,
                                    size_t panels, size_t token, size_t first, size_t count, Asking& ahead) {
  const size_t row = panel * cpu::panel_rows;
  const size_t rows = panels * cpu::panel_rows;
  float* y = call.y + token * call.apart() + row;
  if (row + rows <= call.rows) {
    tiles<Dots, Tokens, Minima>(call, wide, panels, token, first, count, y, call.apart(), ahead);
    return;
  }
  // The last panel's missing rows have no place in y.
  constexpr size_t stride = neighbours * cpu::panel_rows;
  HWY_ALIGN float sums[Tokens * stride] = {};
  const size_t there = call.rows - row;
  for (size_t t = 0; t < Tokens && first != 0; ++t) {
    std::copy(y + t * call.apart(), y + t * call.apart() + there, sums + t * stride);
  }
  tiles<Dots, Tokens, Minima>(call, wide, panels, token, first, count, sums, stride, ahead);
  for (size_t t = 0; t < Tokens; ++t) {
    std::copy(sums + t * stride, sums + t * stride + there, y + t * call.apart());
  }
}

// Tokens of a tile, at most: 12 sums in integers, and as many in floats where there are registers for them.
inline constexpr size_t tile_tokens = totals_in_registers || in_pairs ? 6 : 4;
constexpr size_t tile_groups(size_t tokens) { return (tokens + tile_tokens - 1) / tile_tokens; }

template <class Dots, size_t Minima, class Asking>
inline void panels_times_matrix(const cpu::product_call& call, const wide_panel (&wide)[neighbours], size_t panel,
                                size_t panels, size_t token, size_t tokens, size_t first, size_t count, Asking& ahead) {
  if constexpr (in_pairs) {
    const size_t groups = tile_groups(tokens);  // of nearly the same size: one of two reads its weights for little
    for (size_t g = 0, at = token; g < groups; ++g) {
      const size_t to = token + tokens * (g + 1) / groups;
      const auto times = [&](auto size) HWY_ATTR {
        panels_times_tokens<Dots, size(), Minima>(call, wide, panel, panels, at, first, count, ahead);
      };
      switch (to - at) {
        case 6: times(std::integral_constant<size_t, 6>()); break;
        case 5: times(std::integral_constant<size_t, 5>()); break;
        case 4: times(std::integral_constant<size_t, 4>()); break;
        case 3: times(std::integral_constant<size_t, 3>()); break;
        case 2: times(std::integral_constant<size_t, 2>()); break;
        default: times(std::integral_constant<size_t, 1>());
      }
      at = to;
    }
  } else {
    const size_t end = token + tokens;
    for (; token + tile_tokens <= end; token += tile_tokens) {
      panels_times_tokens<Dots, tile_tokens, Minima>(call, wide, panel, panels, token, first, count, ahead);
    }
    for (; token + 2 <= end; token += 2) {
      panels_times_tokens<Dots, 2, Minima>(call, wide, panel, panels, token, first, count, ahead);
    }
    for (; token < end; ++token) {
      panels_times_tokens<Dots, 1, Minima>(call, wide, panel, panels, token, first, count, ahead);
    }
  }
}

// Widen is called as widen(call, panel, first block, blocks, out). Where there are tiles they take sixteen tokens at a
// time, and vectors the rest: both give the same bits.
template <size_t Minima, bool Bytes, class Dots = dots_of_target, class Widen, class Tiles>
HWY_INLINE void blocked_matmul(const cpu::product_call& call, Widen widen_piece, Tiles& unit) {
  const size_t blocks = call.x.blocks;
  // Activations of a batch of tokens (up to 4 KB each) and two widened panels (64 KB each) share a second-level cache
  // of 512 KB or more. Rounding plain floats costs more than reading activations from further away.
  const size_t unit_tokens = unit.on() ? amx_tokens : 12;
  const size_t fit = 640 * 1024 / (64 * std::min(cpu::wide_blocks, blocks));
  const size_t batch = cpu::has_panels(call.origin) || call.in_levels ? fit / unit_tokens * unit_tokens : 512;
  const auto multiply_piece = [&](size_t p, size_t token, size_t tokens, size_t first, size_t count,
                                  auto ahead) HWY_ATTR {
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
    panels_times_matrix<Dots, Minima>(call, wide, p, panels, token + done, tokens - done, first, count, ahead);
  };
  const size_t end = call.first + call.count;
  if constexpr (in_pairs) {
    // Few tokens take about as long as the weights need to come. They find what is widened in the first-level cache where
    // pieces are small, and a panel's pieces follow one another as they lie in memory. Not faster with AVX-512.
    if (call.tokens < 32) {
      const size_t panel_bytes = cpu::has_panels(call.origin) ? cpu::panel_size(call.origin, call.columns) : 0;
      const size_t step = panel_bytes / (blocks * tile_groups(call.tokens) * asking::per_block) + 1;
      for (size_t p = call.first; p < end; p += neighbours) {
        const std::byte* const panel = call.w + (p - call.first) * panel_bytes;
        for (size_t first = 0; first < blocks; first += few_blocks) {
          const size_t count = std::min(few_blocks, blocks - first);
          if (panel_bytes == 0) {  // plain floats lie in rows, not in panels
            multiply_piece(p, 0, call.tokens, first, count, asking_nothing{});
          } else {
            multiply_piece(p, 0, call.tokens, first, count, asking{panel + early + panel_bytes * first / blocks, step});
          }
        }
      }
      return;
    }
  }
  for (size_t token = 0; token < call.tokens; token += batch) {
    const size_t tokens = std::min(batch, call.tokens - token);
    for (size_t first = 0; first < blocks; first += cpu::wide_blocks) {
      const size_t count = std::min(cpu::wide_blocks, blocks - first);
      for (size_t p = call.first; p < end; p += neighbours) {
        multiply_piece(p, token, tokens, first, count, asking_nothing{});
      }
    }
  }
}

template <size_t Minima, bool Bytes, class Widen>
HWY_INLINE void multiply_blocked(const cpu::product_call& call, Widen widen_piece, matmul_tiles& unit) {
  if constexpr (vnni_is_possible) {
    if (cpu::avx_vnni_is_usable()) return blocked_matmul<Minima, Bytes, dots_of_vnni>(call, widen_piece, unit);
  }
  blocked_matmul<Minima, Bytes>(call, widen_piece, unit);
}

template <storage S>
inline void panel_matmul_of(const cpu::product_call& call) {
  const bool split = by_digits && call.x.digits != nullptr;
  if (call.tokens <= direct_tokens && split == by_digits) return direct_matmul_of<S>(call);
  matmul_tiles unit(call.tokens >= amx_tokens);
  if constexpr (by_digits && !in_pairs) {
    // Sums of halves that are scaled each are best scaled in the weights once there are more of them.
    constexpr size_t most = scaled_sums<S> ? 5 : SIZE_MAX;
    if (split && call.tokens <= most && !unit.on()) return few_tokens_matmul_of<S>(call);
  }
  multiply_blocked<panel_facts<S>::minima, levels_are_bytes<S>>(call, widen<S>, unit);
}

// Several files compile them (panel_matmul*.cc), since each storage unrolls into a kernel of its own and all together took
// a compiler more than a minute.
inline void panel_matmul_q2_k(const cpu::product_call& call) { panel_matmul_of<storage::q2_k>(call); }
inline void panel_matmul_q3_k(const cpu::product_call& call) { panel_matmul_of<storage::q3_k>(call); }
inline void panel_matmul_q4_k(const cpu::product_call& call) { panel_matmul_of<storage::q4_k>(call); }
inline void panel_matmul_q5_k(const cpu::product_call& call) { panel_matmul_of<storage::q5_k>(call); }
inline void panel_matmul_q6_k(const cpu::product_call& call) { panel_matmul_of<storage::q6_k>(call); }
inline void panel_matmul_mxfp4(const cpu::product_call& call) { panel_matmul_of<storage::mxfp4>(call); }

inline void panel_matmul_q5(const cpu::product_call& call) {
  return call.origin == storage::q5_0 ? panel_matmul_of<storage::q5_0>(call) : panel_matmul_of<storage::q5_1>(call);
}

inline void panel_matmul_iq4(const cpu::product_call& call) {
  return call.origin == storage::iq4_nl ? panel_matmul_of<storage::iq4_nl>(call) : panel_matmul_of<storage::iq4_xs>(call);
}

inline void panel_matmul_floats(const cpu::product_call& call) {
  matmul_tiles unit(call.tokens >= amx_tokens);
  if (call.in_levels) return multiply_blocked<0, false>(call, find_levels, unit);
  multiply_blocked<0, false>(call, widen_floats, unit);
}

inline void panel_matmul_32(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q4_0: return panel_matmul_of<storage::q4_0>(call);
    case storage::q4_1: return panel_matmul_of<storage::q4_1>(call);
    case storage::q8_0: return panel_matmul_of<storage::q8_0>(call);
    default: return panel_matmul_floats(call);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANEL_MATMUL_INL_H_
