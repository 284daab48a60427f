// y = x · Wᵀ for many tokens with weights in panels and 8-bit activations: as panel_matmul-inl.h, with products of bytes, of which a
// CPU does twice as many. Error: activations rounded to 7 bits and a sign per block of 32.
#if defined(G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_
#undef G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_
#else
#define G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_
#endif

#include <algorithm>
#include <cstring>
#include <utility>

#include "g4/backend/cpu/calls.h"
#include "kernels/cpu/panels-inl.h"
#include "kernels/cpu/quantise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

inline void quantise_bytes(const cpu::quantise_bytes_call& call) {
  const float_lanes df;
  const int_lanes di;
  const signed_byte_lanes d8;
  constexpr float top = 127;
  const size_t blocks = call.out.blocks;
  for (size_t t = call.first; t < call.first + call.count; ++t) {
    const float* x = call.x + t * call.columns;
    int8_t* levels = call.out.levels + t * blocks * 32;
    for (size_t b = 0; b < blocks; ++b, x += 32, levels += 32) {
      const float maximum = largest_of_block(x);
      const bool some = !counts_as_nought(maximum);
      const floats scale = hn::Set(df, some ? top / maximum : 0.0f);
      int32_t sum[2] = {};
      for (size_t i = 0; i < 32; i += lanes) {
        const auto level = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), scale));
        hn::StoreU(hn::DemoteTo(d8, level), d8, levels + i);
        sum[i / 16] += hn::ReduceSum(di, level);
      }
      const size_t at = t * blocks + b;
      const float step = some ? maximum / top : 0.0f;
      call.out.step[at] = step;
      call.out.sum[2 * at] = sum[0];
      call.out.sum[2 * at + 1] = sum[1];
      call.out.total[at] = step * static_cast<float>(sum[0] + sum[1]);
    }
  }
}

// A piece of a panel with a byte for each level.
struct byte_panel {
  std::byte* levels;  // [blocks of 32, 8 words, 16 rows, 4], unsigned: `offset` still added
  float* scale;       // [blocks, 16 rows]
  float* minimum;     // [blocks, minima, 16 rows]; of Q6_K the signed scales of both halves, int32 [blocks, 2, 16 rows]
};

inline constexpr size_t byte_panel_bytes = cpu::wide_blocks * (512 + 3 * 64);
static_assert(2 * byte_panel_bytes <= cpu::product_scratch);

HWY_INLINE byte_panel byte_panel_in(std::byte* scratch) {
  auto* scale = reinterpret_cast<float*>(scratch + cpu::wide_blocks * 512);
  return {scratch, scale, scale + cpu::wide_blocks * cpu::panel_rows};
}

// Levels of Q2_K and Q3_K times their half's scale still fit a byte; Q6_K's do not, and are scaled after they are summed.
template <storage S>
inline constexpr bool scaled_bytes = panel_facts<S>::halves&& S != storage::q6_k;

// What is added to a level (times its scale, where that is in it) for it to be unsigned.
template <storage S>
inline constexpr int byte_offset = S == storage::q8_0   ? 128
                                   : S == storage::q3_k ? 124
                                                        : panel_facts<S>::offset;

template <storage S, size_t Sub, size_t... Word>
HWY_INLINE void bytes_of_sub_block(const std::byte* block, const std::byte* scales, std::index_sequence<Word...>,
                                   const byte_panel& out, size_t b) {
  const level_lanes dl;
  const float_lanes df;
  G4_UNROLL for (size_t part = 0; part < parts; ++part) {
    auto* to = reinterpret_cast<int16_t*>(out.levels + 512 * b + part * (64 / parts));
    const auto byte = [&](levels16 v, [[maybe_unused]] size_t half) HWY_ATTR {
      if constexpr (scaled_bytes<S>) {
        const sums32 by_row = half_scale<S>(scales, 2 * Sub + half, part);
        const auto low = hn::And(by_row, hn::Set(int_lanes(), 0xffff));
        const auto twice = hn::BitCast(dl, hn::Or(low, hn::ShiftLeft<16>(by_row)));
        const levels16 less = hn::Set(dl, static_cast<int16_t>(panel_facts<S>::offset));
        return hn::Add(hn::Mul(hn::Sub(v, less), twice), hn::Set(dl, static_cast<int16_t>(byte_offset<S>)));
      } else {
        return hn::Add(v, hn::Set(dl, static_cast<int16_t>(byte_offset<S> - panel_facts<S>::offset)));
      }
    };
    ((hn::StoreU(hn::Or(byte(level<S, Sub, 2 * Word>(block, part), Word / 4),
                        hn::ShiftLeft<8>(byte(level<S, Sub, 2 * Word + 1>(block, part), Word / 4))),
                 dl, to + 32 * Word)),
     ...);
    hn::StoreU(scale<S, Sub>(scales, part), df, out.scale + 16 * b + part * lanes);
    for (size_t n = 0; n < panel_facts<S>::minima; ++n) {
      hn::StoreU(minimum<S, Sub>(scales, part, n), df,
                 out.minimum + 16 * (panel_facts<S>::minima * b + n) + part * lanes);
    }
    if constexpr (S == storage::q6_k) {
      auto* signed_scales = reinterpret_cast<int32_t*>(out.minimum) + 32 * b + part * lanes;
      hn::StoreU(signed_scale(scales, 2 * Sub, part), int_lanes(), signed_scales);
      hn::StoreU(signed_scale(scales, 2 * Sub + 1, part), int_lanes(), signed_scales + 16);
    }
  }
}

template <storage S, size_t... Sub>
HWY_INLINE void bytes_of_block(const std::byte* block, const std::byte* scales, std::index_sequence<Sub...>,
                               const byte_panel& out, size_t b) {
  (bytes_of_sub_block<S, Sub>(block, scales, std::make_index_sequence<8>(), out, b + Sub), ...);
}

template <storage S>
inline void bytes_of_panel(const cpu::product_call& call, size_t panel, size_t first, size_t count,
                           const byte_panel& out) {
  using facts = panel_facts<S>;
  const std::byte* levels = call.w + (panel - call.first) * cpu::panel_size(S, call.columns);
  const std::byte* scales = levels + call.columns / facts::columns * facts::level_bytes;
  for (size_t b = 0; b < count; b += facts::subs) {
    const size_t from = (first + b) / facts::subs;
    bytes_of_block<S>(levels + from * facts::level_bytes, scales + from * facts::scale_bytes,
                      std::make_index_sequence<facts::subs>(), out, b);
  }
}

// Words [First, First + 4) of one block: sums[t][v] += token t times vector v of rows.
template <size_t First, size_t Tokens, size_t Vectors>
HWY_INLINE void dot_words(const std::byte* const (&levels)[Vectors], const int8_t* x, size_t x_stride,
                          sums32 (&sums)[Tokens][Vectors]) {
  const hn::Repartition<uint8_t, int_lanes> du8;
  const hn::Repartition<int8_t, int_lanes> d8;
  G4_UNROLL for (size_t word = First; word < First + 4; ++word) {
    hn::Vec<decltype(du8)> weights[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) weights[v] = hn::LoadU(du8, as_bytes(levels[v] + 64 * word));
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      int32_t four;
      std::memcpy(&four, x + t * x_stride + 4 * word, sizeof four);
      const auto columns = hn::BitCast(d8, hn::Set(int_lanes(), four));
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
        sums[t][v] = hn::SumOfMulQuadAccumulate(int_lanes(), weights[v], columns, sums[t][v]);
      }
    }
  }
}

// y[t][v] += tokens [token, token + Tokens) times Vectors vectors of rows, over blocks [first, first + count).
template <storage S, size_t Tokens, size_t Vectors>
HWY_INLINE void byte_tile(const cpu::product_call& call, const byte_panel (&w)[Vectors], const size_t (&part)[Vectors],
                          size_t token, size_t first, size_t count, float* y, size_t y_stride,
                          const size_t (&y_at)[Vectors]) {
  const float_lanes df;
  const int_lanes di;
  const size_t row = call.bytes.blocks;
  const size_t begin = token * row + first;
  floats total[Tokens][Vectors];
  G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      total[t][v] = first == 0 ? hn::Zero(df) : hn::LoadU(df, y + t * y_stride + y_at[v]);
    }
  }
  for (size_t b = 0; b < count; ++b) {
    const int8_t* x = call.bytes.levels + (begin + b) * 32;
    const int32_t* sum = call.bytes.sum + 2 * (begin + b);
    const std::byte* levels[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) levels[v] = w[v].levels + 512 * b + part[v] * (64 / parts);
    sums32 sums[Tokens][Vectors];
    const auto begin_at = [&](auto of_token) HWY_ATTR {
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
          sums[t][v] = hn::Set(di, -byte_offset<S> * of_token(sum + 2 * row * t));
        }
      }
    };
    if constexpr (S == storage::q6_k) {  // each half has a scale of its own
      sums32 halves_sum[Tokens][Vectors];
      begin_at([](const int32_t* of) { return of[0]; });
      dot_words<0>(levels, x, row * 32, sums);
      const auto scaled = [&](size_t t, size_t v, size_t half) HWY_ATTR {
        const auto* at = reinterpret_cast<const int32_t*>(w[v].minimum) + 32 * b + 16 * half + part[v] * lanes;
        return hn::Mul(sums[t][v], hn::LoadU(di, at));
      };
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) halves_sum[t][v] = scaled(t, v, 0);
      }
      begin_at([](const int32_t* of) { return of[1]; });
      dot_words<4>(levels, x, row * 32, sums);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) sums[t][v] = hn::Add(halves_sum[t][v], scaled(t, v, 1));
      }
    } else {
      begin_at([](const int32_t* of) { return of[0] + of[1]; });
      dot_words<0>(levels, x, row * 32, sums);
      dot_words<4>(levels, x, row * 32, sums);
    }
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      const floats scale = hn::LoadU(df, w[v].scale + 16 * b + part[v] * lanes);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        const floats factor = hn::Mul(scale, hn::Set(df, call.bytes.step[begin + t * row + b]));
        total[t][v] = hn::MulAdd(hn::ConvertTo(df, sums[t][v]), factor, total[t][v]);
        constexpr size_t minima = panel_facts<S>::minima;
        for (size_t n = 0; n < minima; ++n) {
          const floats of_half = hn::LoadU(df, w[v].minimum + 16 * (minima * b + n) + part[v] * lanes);
          const size_t at = begin + t * row + b;
          const float x_sum = minima == 1 ? call.bytes.total[at] : half_total(call.bytes.step, call.bytes.sum, at, n);
          total[t][v] = hn::MulAdd(of_half, hn::Set(df, x_sum), total[t][v]);
        }
      }
    }
  }
  G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) hn::StoreU(total[t][v], df, y + t * y_stride + y_at[v]);
  }
}

// Tokens [token, token + Tokens) times one or two panels; the last panel's missing rows have no place in y.
template <storage S, size_t Tokens>
inline void bytes_times_tokens(const cpu::product_call& call, const byte_panel (&w)[2], size_t panel, size_t panels,
                               size_t token, size_t first, size_t count) {
  constexpr size_t room = 2 * cpu::panel_rows;
  const size_t row = panel * cpu::panel_rows;
  const size_t rows = panels * cpu::panel_rows;
  const size_t there = std::min(rows, call.rows - row);
  float* y = call.y + token * call.rows + row;
  HWY_ALIGN float all[Tokens * room] = {};
  const bool whole = there == rows;
  for (size_t t = 0; t < Tokens && !whole && first != 0; ++t) {
    std::copy(y + t * call.rows, y + t * call.rows + there, all + t * room);
  }
  float* const to = whole ? y : all;
  const size_t stride = whole ? call.rows : room;
  size_t vector = 0;  // of lanes rows
  for (; vector + 2 <= panels * parts; vector += 2) {
    const size_t next = vector + 1;
    byte_tile<S, Tokens, 2>(call, {w[vector / parts], w[next / parts]}, {vector % parts, next % parts}, token, first,
                            count, to, stride, {vector * lanes, next * lanes});
  }
  if (vector < panels * parts) {
    byte_tile<S, Tokens, 1>(call, {w[vector / parts]}, {vector % parts}, token, first, count, to, stride,
                            {vector * lanes});
  }
  for (size_t t = 0; t < Tokens && !whole; ++t) {
    std::copy(all + t * room, all + t * room + there, y + t * call.rows);
  }
}

template <storage S>
inline void bytes_matmul_of(const cpu::product_call& call) {
  constexpr size_t most = lanes == 16 ? 6 : 2;  // 12 sums in integers and 12 in floats; with 16 registers 4 of each
  const size_t blocks = call.bytes.blocks;
  // As in panel_matmul-inl.h: activations of a batch and two panels' pieces share a second-level cache.
  const size_t batch = std::max<size_t>(most, 640 * 1024 / (32 * std::min(cpu::wide_blocks, blocks)) / most * most);
  for (size_t token = 0; token < call.tokens; token += batch) {
    const size_t end = std::min(token + batch, call.tokens);
    for (size_t first = 0; first < blocks; first += cpu::wide_blocks) {
      const size_t count = std::min(cpu::wide_blocks, blocks - first);
      for (size_t p = call.first; p < call.first + call.count; p += 2) {
        const size_t panels = std::min<size_t>(2, call.first + call.count - p);
        byte_panel w[2] = {byte_panel_in(call.scratch), byte_panel_in(call.scratch + byte_panel_bytes)};
        for (size_t i = 0; i < panels; ++i) bytes_of_panel<S>(call, p + i, first, count, w[i]);
        size_t t = token;
        for (; t + most <= end; t += most) bytes_times_tokens<S, most>(call, w, p, panels, t, first, count);
        for (; t < end; ++t) bytes_times_tokens<S, 1>(call, w, p, panels, t, first, count);
      }
    }
  }
}

// In two files, as in panel_matmul-inl.h.
inline void panel_matmul_bytes_k(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q4_k: return bytes_matmul_of<storage::q4_k>(call);
    case storage::q5_k: return bytes_matmul_of<storage::q5_k>(call);
    case storage::q2_k: return bytes_matmul_of<storage::q2_k>(call);
    case storage::q3_k: return bytes_matmul_of<storage::q3_k>(call);
    case storage::iq4_xs: return bytes_matmul_of<storage::iq4_xs>(call);
    default: return bytes_matmul_of<storage::q6_k>(call);
  }
}

inline void panel_matmul_bytes(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q4_0: return bytes_matmul_of<storage::q4_0>(call);
    case storage::q4_1: return bytes_matmul_of<storage::q4_1>(call);
    case storage::q5_0: return bytes_matmul_of<storage::q5_0>(call);
    case storage::q5_1: return bytes_matmul_of<storage::q5_1>(call);
    case storage::iq4_nl: return bytes_matmul_of<storage::iq4_nl>(call);
    case storage::mxfp4: return bytes_matmul_of<storage::mxfp4>(call);
    default: return bytes_matmul_of<storage::q8_0>(call);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_
