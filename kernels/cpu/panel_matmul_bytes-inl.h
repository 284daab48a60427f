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
  const auto low = hn::Set(di, -127);
  const auto high = hn::Set(di, 127);
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
        // Only what is no number lies outside: its sums stay small, and its step makes every product none.
        const auto level = hn::Min(hn::Max(hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), scale)), low), high);
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

// Without a dot product of four bytes (AVX2), one of two bytes is nearest: its sum saturates at 16 bits, and small levels
// leave room to add several before they are widened. With it, or another way to it, four are summed at once.
inline constexpr bool in_pairs = HWY_TARGET == HWY_AVX2;

// A piece of a panel with a byte for each level.
struct byte_panel {
  std::byte* levels;    // [blocks of 32, 8 words, 16 rows, 4], unsigned: `byte_offset` still added
  float* scale;         // [blocks, 16 rows]
  float* minimum;       // [blocks, minima, 16 rows]
  int32_t* half_scale;  // [blocks, 2, 16 rows]; in pairs each is twice in 16 bits
  int32_t* correction;  // [blocks, 16 rows]; in pairs: both halves' scales times `byte_offset`, in 16 bits each
};

inline constexpr size_t byte_panel_bytes = cpu::wide_blocks * (512 + 6 * 64);
static_assert(2 * byte_panel_bytes <= cpu::product_scratch);

HWY_INLINE byte_panel byte_panel_in(std::byte* scratch) {
  constexpr size_t numbers = cpu::wide_blocks * cpu::panel_rows;
  auto* scale = reinterpret_cast<float*>(scratch + cpu::wide_blocks * 512);
  auto* half_scale = reinterpret_cast<int32_t*>(scale + 3 * numbers);
  return {scratch, scale, scale + numbers, half_scale, half_scale + 2 * numbers};
}

// Levels of Q2_K and Q3_K times their half's scale still fit a byte; Q6_K's do not, and are scaled after they are summed. In
// pairs all are, since that costs nothing there.
template <storage S>
inline constexpr bool scaled_bytes = panel_facts<S>::halves&& S != storage::q6_k && !in_pairs;
template <storage S>
inline constexpr bool scaled_sums = panel_facts<S>::halves && !scaled_bytes<S>;

// In pairs, levels that reach far from nought are signed: the sign goes to the activation.
template <storage S>
inline constexpr bool signed_bytes = in_pairs && (S == storage::q8_0 || S == storage::iq4_nl || S == storage::iq4_xs);

// What is added to a level (times its scale, where that is in it) for it to be unsigned.
template <storage S>
inline constexpr int byte_offset = signed_bytes<S>                        ? 0
                                   : S == storage::q8_0                   ? 128
                                   : S == storage::q3_k&& scaled_bytes<S> ? 124
                                                                          : panel_facts<S>::offset;

// What a tile has to know of a storage at compile time; storages of a kind share its code.
struct byte_kind {
  size_t minima;
  bool scaled_sums;
  bool signed_bytes;
  size_t together;  // in pairs: words whose sums fit 16 bits, two products of the largest level and 127 each
};

template <storage S>
inline constexpr byte_kind kind_of{panel_facts<S>::minima, scaled_sums<S>, signed_bytes<S>,
                                   !in_pairs || signed_bytes<S>                                     ? size_t{1}
                                   : S == storage::q6_k                                             ? size_t{2}
                                   : S == storage::q4_0 || S == storage::q4_1 || S == storage::q4_k ? size_t{8}
                                                                                                    : size_t{4}};

template <storage S, size_t Sub, size_t... Word>
HWY_INLINE void bytes_of_sub_block(const std::byte* block, const std::byte* scales, std::index_sequence<Word...>,
                                   const byte_panel& out, size_t b) {
  const level_lanes dl;
  const float_lanes df;
  for (size_t part = 0; part < parts; ++part) {
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
    const levels16 lower = hn::Set(dl, int16_t{255});  // a signed level's upper bits are not the other's
    ((hn::StoreU(hn::Or(hn::And(byte(level<S, Sub, 2 * Word>(block, part), Word / 4), lower),
                        hn::ShiftLeft<8>(byte(level<S, Sub, 2 * Word + 1>(block, part), Word / 4))),
                 dl, to + 32 * Word)),
     ...);
    hn::StoreU(scale<S, Sub>(scales, part), df, out.scale + 16 * b + part * lanes);
    for (size_t n = 0; n < panel_facts<S>::minima; ++n) {
      hn::StoreU(minimum<S, Sub>(scales, part, n), df,
                 out.minimum + 16 * (panel_facts<S>::minima * b + n) + part * lanes);
    }
    if constexpr (scaled_sums<S>) {
      const int_lanes di;
      const sums32 first = half_scale<S>(scales, 2 * Sub, part);
      const sums32 second = half_scale<S>(scales, 2 * Sub + 1, part);
      const auto two = [&](sums32 low, sums32 high)
                           HWY_ATTR { return hn::Or(hn::And(low, hn::Set(di, 0xffff)), hn::ShiftLeft<16>(high)); };
      int32_t* const to_scale = out.half_scale + 32 * b + part * lanes;
      hn::StoreU(in_pairs ? two(first, first) : first, di, to_scale);
      hn::StoreU(in_pairs ? two(second, second) : second, di, to_scale + 16);
      if constexpr (in_pairs) {
        const auto offset = hn::Set(di, byte_offset<S>);
        hn::StoreU(two(hn::Mul(first, offset), hn::Mul(second, offset)), di, out.correction + 16 * b + part * lanes);
      }
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
template <byte_kind Kind, size_t Tokens, size_t Vectors>
HWY_INLINE void byte_tile(const cpu::product_call& call, int offset, const byte_panel (&w)[Vectors],
                          const size_t (&part)[Vectors], size_t token, size_t first, size_t count, float* y,
                          size_t y_stride, const size_t (&y_at)[Vectors]) {
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
          sums[t][v] = hn::Set(di, -offset * of_token(sum + 2 * row * t));
        }
      }
    };
    if constexpr (Kind.scaled_sums) {  // each half has a scale of its own
      sums32 halves_sum[Tokens][Vectors];
      begin_at([](const int32_t* of) { return of[0]; });
      dot_words<0>(levels, x, row * 32, sums);
      const auto scaled = [&](size_t t, size_t v, size_t half) HWY_ATTR {
        return hn::Mul(sums[t][v], hn::LoadU(di, w[v].half_scale + 32 * b + 16 * half + part[v] * lanes));
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
        constexpr size_t minima = Kind.minima;
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

// ---- In pairs (AVX2) -----------------------------------------------------------------------------------------------------

template <bool Signed>
HWY_INLINE levels16 two_products(hn::Vec<hn::Repartition<uint8_t, int_lanes>> w,
                                 hn::Vec<hn::Repartition<int8_t, int_lanes>> x) {
  if constexpr (Signed) {
    const hn::Repartition<int8_t, int_lanes> d8;
    const auto levels = hn::BitCast(d8, w);
    const auto size = hn::BitCast(hn::Repartition<uint8_t, int_lanes>(), hn::Abs(levels));  // of −128 the byte 128
    return hn::SatWidenMulPairwiseAdd(level_lanes(), size, hn::IfNegativeThenNegOrUndefIfZero(levels, x));
  } else {
    return hn::SatWidenMulPairwiseAdd(level_lanes(), w, x);
  }
}

// As byte_tile; the float sums wait in y.
template <byte_kind Kind, size_t Tokens, size_t Vectors>
HWY_INLINE void byte_tile_in_pairs(const cpu::product_call& call, int offset, const byte_panel (&w)[Vectors],
                                   const size_t (&part)[Vectors], size_t token, size_t first, size_t count, float* y,
                                   size_t y_stride, const size_t (&y_at)[Vectors]) {
  const float_lanes df;
  const int_lanes di;
  const level_lanes dl;
  const hn::Repartition<uint8_t, int_lanes> du8;
  const hn::Repartition<int8_t, int_lanes> d8;
  constexpr size_t together = Kind.together;
  const size_t row = call.bytes.blocks;
  const size_t begin = token * row + first;
  for (size_t b = 0; b < count; ++b) {
    const int8_t* x = call.bytes.levels + (begin + b) * 32;
    const int32_t* sum = call.bytes.sum + 2 * (begin + b);
    sums32 sums[Tokens][Vectors];
    G4_UNROLL for (size_t group = 0; group < 8; group += together) {
      levels16 pairs[Tokens][Vectors];
      G4_UNROLL for (size_t word = group; word < group + together; ++word) {
        hn::Vec<decltype(du8)> weights[Vectors];
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
          weights[v] = hn::LoadU(du8, as_bytes(w[v].levels + 512 * b + 64 * word + part[v] * (64 / parts)));
        }
        G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
          int32_t four;
          std::memcpy(&four, x + t * row * 32 + 4 * word, sizeof four);
          const auto columns = hn::BitCast(d8, hn::Set(di, four));
          G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
            const levels16 two = two_products<Kind.signed_bytes>(weights[v], columns);
            pairs[t][v] = word == group ? two : hn::Add(pairs[t][v], two);
          }
        }
      }
      G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
        levels16 factor = hn::Set(dl, int16_t{1});
        if constexpr (Kind.scaled_sums) {
          factor = hn::BitCast(dl, hn::LoadU(di, w[v].half_scale + 32 * b + 16 * (group / 4) + part[v] * lanes));
        }
        G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
          sums[t][v] = dot(group == 0 ? hn::Zero(di) : sums[t][v], pairs[t][v], factor);
        }
      }
    }
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      const floats scale = hn::LoadU(df, w[v].scale + 16 * b + part[v] * lanes);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        const size_t at = begin + t * row + b;
        const int32_t* of = sum + 2 * row * t;
        sums32 all = sums[t][v];
        if constexpr (Kind.scaled_sums) {  // sixteen bytes sum to no more than 16 bits hold
          const auto both =
              static_cast<int32_t>((static_cast<uint32_t>(of[0]) & 0xffffu) | (static_cast<uint32_t>(of[1]) << 16));
          const auto correction = hn::BitCast(dl, hn::LoadU(di, w[v].correction + 16 * b + part[v] * lanes));
          all = hn::Sub(all, hn::WidenMulPairwiseAdd(di, correction, hn::BitCast(dl, hn::Set(di, both))));
        } else if constexpr (!Kind.signed_bytes) {
          all = hn::Sub(all, hn::Set(di, offset * (of[0] + of[1])));
        }
        float* const to = y + t * y_stride + y_at[v];
        floats total = first + b == 0 ? hn::Zero(df) : hn::LoadU(df, to);
        const floats factor = hn::Mul(scale, hn::Set(df, call.bytes.step[at]));
        total = hn::MulAdd(hn::ConvertTo(df, all), factor, total);
        constexpr size_t minima = Kind.minima;
        for (size_t n = 0; n < minima; ++n) {
          const floats of_half = hn::LoadU(df, w[v].minimum + 16 * (minima * b + n) + part[v] * lanes);
          const float x_sum = minima == 1 ? call.bytes.total[at] : half_total(call.bytes.step, call.bytes.sum, at, n);
          total = hn::MulAdd(of_half, hn::Set(df, x_sum), total);
        }
        hn::StoreU(total, df, to);
      }
    }
  }
}

// Tokens [token, token + Tokens) times one or two panels; the last panel's missing rows have no place in y.
template <byte_kind Kind, size_t Tokens>
inline void bytes_times_tokens(const cpu::product_call& call, int offset, const byte_panel (&w)[2], size_t panel,
                               size_t panels, size_t token, size_t first, size_t count) {
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
    if constexpr (in_pairs) {
      byte_tile_in_pairs<Kind, Tokens, 2>(call, offset, {w[vector / parts], w[next / parts]},
                                          {vector % parts, next % parts}, token, first, count, to, stride,
                                          {vector * lanes, next * lanes});
    } else {
      byte_tile<Kind, Tokens, 2>(call, offset, {w[vector / parts], w[next / parts]}, {vector % parts, next % parts},
                                 token, first, count, to, stride, {vector * lanes, next * lanes});
    }
  }
  if (parts == 1 && vector < panels) {
    byte_tile<Kind, Tokens, 1>(call, offset, {w[vector / parts]}, {vector % parts}, token, first, count, to, stride,
                               {vector * lanes});
  }
  for (size_t t = 0; t < Tokens && !whole; ++t) {
    std::copy(all + t * room, all + t * room + there, y + t * call.rows);
  }
}

template <storage S>
inline void bytes_matmul_of(const cpu::product_call& call) {
  constexpr byte_kind kind = kind_of<S>;
  // 12 sums in integers and 12 in floats; with 16 registers 4 of each; in pairs 12 in 16 bits, or 6 and 6 in 32.
  constexpr size_t most = in_pairs ? (kind.together == 8 ? 6 : 3) : lanes == 16 ? 6 : 2;
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
        for (; t + most <= end; t += most)
          bytes_times_tokens<kind, most>(call, byte_offset<S>, w, p, panels, t, first, count);
        for (; t < end; ++t) bytes_times_tokens<kind, 1>(call, byte_offset<S>, w, p, panels, t, first, count);
      }
    }
  }
}

// In two files, as in panel_matmul-inl.h: sixteen columns with a scale of their own, and the rest, which shares much.
inline void panel_matmul_bytes_k(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q2_k: return bytes_matmul_of<storage::q2_k>(call);
    case storage::q3_k: return bytes_matmul_of<storage::q3_k>(call);
    default: return bytes_matmul_of<storage::q6_k>(call);
  }
}

inline void panel_matmul_bytes(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q4_0: return bytes_matmul_of<storage::q4_0>(call);
    case storage::q4_1: return bytes_matmul_of<storage::q4_1>(call);
    case storage::q5_0: return bytes_matmul_of<storage::q5_0>(call);
    case storage::q5_1: return bytes_matmul_of<storage::q5_1>(call);
    case storage::q4_k: return bytes_matmul_of<storage::q4_k>(call);
    case storage::q5_k: return bytes_matmul_of<storage::q5_k>(call);
    case storage::iq4_nl: return bytes_matmul_of<storage::iq4_nl>(call);
    case storage::iq4_xs: return bytes_matmul_of<storage::iq4_xs>(call);
    case storage::mxfp4: return bytes_matmul_of<storage::mxfp4>(call);
    default: return bytes_matmul_of<storage::q8_0>(call);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_
