// y = x · Wᵀ with weights in panels and products of bytes: as panel_matmul-inl.h, but levels of weights are not widened.
//
// An activation is one byte, of 7 bits and a sign (`fast8`: a CPU multiplies twice as many bytes as 16-bit numbers), or a
// 16-bit level in two digits, x = x₀ + 128 · x₁ with |x₀|, |x₁| ≤ 64. Then Σ w·x = Σ w·x₀ + 128 · Σ w·x₁ is the very integer
// that 16-bit products sum to, and the bits of y are the same.
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

// The bytes of four columns, for every row.
HWY_INLINE sums32 four_columns(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return hn::Set(int_lanes(), four);
}

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

// What meets: bytes of an activation (one, or two digits), and whether four products are summed at once or two.
struct byte_form {
  size_t digits;
  bool at_once;
};
inline constexpr byte_form one_byte{1, !in_pairs};
inline constexpr byte_form one_byte_at_once{1, true};
inline constexpr byte_form two_digits{2, !in_pairs};

// What is added to a level (times its scale, where that is in it) for it to be unsigned.
template <storage S>
inline constexpr int byte_offset = S == storage::q8_0                     ? 128
                                   : S == storage::q3_k&& scaled_bytes<S> ? 124
                                                                          : panel_facts<S>::offset;

// What a tile has to know of a storage at compile time; storages of a kind share its code.
struct byte_kind {
  byte_form form;
  size_t minima;
  bool scaled_sums;
  size_t together;  // in pairs: words whose sums fit 16 bits, two products of the largest level and activation each
};

template <storage S, byte_form Form>
constexpr byte_kind kind() {
  constexpr int level = S == storage::q2_k                                               ? 3
                        : S == storage::q3_k                                             ? 7
                        : S == storage::q4_0 || S == storage::q4_1 || S == storage::q4_k ? 15
                        : S == storage::mxfp4                                            ? 24
                        : S == storage::q5_0 || S == storage::q5_1 || S == storage::q5_k ? 31
                        : S == storage::q6_k                                             ? 63
                                                                                         : 255;
  constexpr int words = 32767 / (2 * level * (Form.digits == 1 ? 127 : 64));  // none for large levels: see `bytes_pay`
  constexpr size_t most = scaled_sums<S> ? 4 : 8;
  constexpr size_t fit = words >= 8 ? 8 : words >= 4 ? 4 : words >= 2 ? 2 : 1;
  return {Form, panel_facts<S>::minima, scaled_sums<S>,
          Form.at_once ? size_t{1} : std::min(most, fit)};
}
template <storage S, byte_form Form>
inline constexpr byte_kind kind_of = kind<S, Form>();

// The bytes of the Word-th four columns of sub-block Sub, `byte_offset` added.
template <storage S, size_t Sub, size_t Word>
HWY_INLINE levels16 offset_bytes(const std::byte* block, size_t part) {
  constexpr int more = byte_offset<S> - panel_facts<S>::offset;
  const levels16 stored = level_bytes<S, Sub, Word>(block, part);
  if constexpr (more == 0) return stored;
  const hn::Repartition<uint8_t, level_lanes> du8;
  return hn::BitCast(level_lanes(), hn::Add(hn::BitCast(du8, stored), hn::Set(du8, static_cast<uint8_t>(more))));
}

template <storage S, size_t Sub, size_t... Word>
HWY_INLINE void bytes_of_sub_block(const std::byte* block, const std::byte* scales, std::index_sequence<Word...>,
                                   const byte_panel& out, size_t b) {
  const level_lanes dl;
  const float_lanes df;
  for (size_t part = 0; part < parts; ++part) {
    auto* to = reinterpret_cast<int16_t*>(out.levels + 512 * b + part * (64 / parts));
    if constexpr (scaled_bytes<S>) {
      const auto less = hn::Set(dl, static_cast<int16_t>(panel_facts<S>::offset));
      const auto more = hn::Set(dl, static_cast<int16_t>(byte_offset<S>));
      const auto by_row = [&](size_t half) HWY_ATTR {  // every row's scale twice
        const sums32 v = half_scale<S>(scales, 2 * Sub + half, part);
        return hn::BitCast(dl, hn::Or(hn::And(v, hn::Set(int_lanes(), 0xffff)), hn::ShiftLeft<16>(v)));
      };
      const levels16 by_half[2] = {by_row(0), by_row(1)};
      const auto scaled = [&](levels16 v, size_t half)
                              HWY_ATTR { return hn::Add(hn::Mul(hn::Sub(v, less), by_half[half]), more); };
      ((hn::StoreU(hn::Or(scaled(level<S, Sub, 2 * Word>(block, part), Word / 4),
                          hn::ShiftLeft<8>(scaled(level<S, Sub, 2 * Word + 1>(block, part), Word / 4))),
                   dl, to + 32 * Word)),
       ...);
    } else {
      (hn::StoreU(offset_bytes<S, Sub, Word>(block, part), dl, to + 32 * Word), ...);
    }
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

// Blocks [first, first + count) of a panel, counted in 32 columns; both are whole blocks of the storage.
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

// Words [First, First + 4) of one block: sums[digit][t][v] += that digit of token t times vector v of rows.
template <size_t First, size_t Digits, size_t Tokens, size_t Vectors>
HWY_INLINE void dot_words(const std::byte* const (&levels)[Vectors], const int8_t* x, size_t x_stride,
                          sums32 (&sums)[Digits][Tokens][Vectors]) {
  const hn::Repartition<uint8_t, int_lanes> du8;
  const hn::Repartition<int8_t, int_lanes> d8;
  G4_UNROLL for (size_t word = First; word < First + 4; ++word) {
    hn::Vec<decltype(du8)> weights[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) weights[v] = hn::LoadU(du8, as_bytes(levels[v] + 64 * word));
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      G4_UNROLL for (size_t digit = 0; digit < Digits; ++digit) {
        const auto columns = hn::BitCast(d8, four_columns(x + t * x_stride + 32 * digit + 4 * word));
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
          sums[digit][t][v] = dots_of_target::add_four(sums[digit][t][v], weights[v], columns);
        }
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
  constexpr size_t digits = Kind.form.digits;
  const size_t row = call.bytes.blocks;
  const size_t begin = token * row + first;
  floats total[Tokens][Vectors];
  G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      total[t][v] = first == 0 ? hn::Zero(df) : hn::LoadU(df, y + t * y_stride + y_at[v]);
    }
  }
  for (size_t b = 0; b < count; ++b) {
    const int8_t* x = call.bytes.levels + (begin + b) * 32 * digits;
    const int32_t* sum = call.bytes.sum + 2 * (begin + b);
    const std::byte* levels[Vectors];
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) levels[v] = w[v].levels + 512 * b + part[v] * (64 / parts);
    sums32 sums[digits][Tokens][Vectors];
    const auto begin_at = [&](auto of_token) HWY_ATTR {
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
          sums[0][t][v] = hn::Set(di, -offset * of_token(sum + 2 * row * t));
          if constexpr (digits == 2) sums[1][t][v] = hn::Zero(di);
        }
      }
    };
    const auto summed = [&](size_t t, size_t v) HWY_ATTR {
      if constexpr (digits == 1) return sums[0][t][v];
      return hn::Add(sums[0][t][v], hn::ShiftLeft<7>(sums[digits - 1][t][v]));
    };
    sums32 all[Tokens][Vectors];
    if constexpr (Kind.scaled_sums) {  // each half has a scale of its own
      begin_at([](const int32_t* of) { return of[0]; });
      dot_words<0>(levels, x, row * 32 * digits, sums);
      const auto scaled = [&](size_t t, size_t v, size_t half) HWY_ATTR {
        return hn::Mul(summed(t, v), hn::LoadU(di, w[v].half_scale + 32 * b + 16 * half + part[v] * lanes));
      };
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) all[t][v] = scaled(t, v, 0);
      }
      begin_at([](const int32_t* of) { return of[1]; });
      dot_words<4>(levels, x, row * 32 * digits, sums);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) all[t][v] = hn::Add(all[t][v], scaled(t, v, 1));
      }
    } else {
      begin_at([](const int32_t* of) { return of[0] + of[1]; });
      dot_words<0>(levels, x, row * 32 * digits, sums);
      dot_words<4>(levels, x, row * 32 * digits, sums);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t v = 0; v < Vectors; ++v) all[t][v] = summed(t, v);
      }
    }
    G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
      const floats scale = hn::LoadU(df, w[v].scale + 16 * b + part[v] * lanes);
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        const floats factor = hn::Mul(scale, hn::Set(df, call.bytes.step[begin + t * row + b]));
        total[t][v] = hn::MulAdd(hn::ConvertTo(df, all[t][v]), factor, total[t][v]);
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

// ---- In pairs (AVX2), or at once with as few registers (AVX-VNNI) ------------------------------------------------------------

// As byte_tile, of one byte; the float sums wait in y.
template <byte_kind Kind, size_t Tokens, size_t Vectors>
HWY_INLINE void byte_tile_in_memory(const cpu::product_call& call, int offset, const byte_panel (&w)[Vectors],
                                    const size_t (&part)[Vectors], size_t token, size_t first, size_t count, float* y,
                                    size_t y_stride, const size_t (&y_at)[Vectors]) {
  const float_lanes df;
  const int_lanes di;
  const level_lanes dl;
  const hn::Repartition<uint8_t, int_lanes> du8;
  const hn::Repartition<int8_t, int_lanes> d8;
  static_assert(Kind.form.digits == 1);
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
          const auto columns = hn::BitCast(d8, four_columns(x + t * row * 32 + 4 * word));
          G4_UNROLL for (size_t v = 0; v < Vectors; ++v) {
            if constexpr (Kind.form.at_once) {
              sums[t][v] = dots_of_vnni::add_four(word == 0 ? hn::Zero(di) : sums[t][v], weights[v], columns);
            } else {
              pairs[t][v] = word == group ? hn::SatWidenMulPairwiseAdd(dl, weights[v], columns)
                                          : dot_bytes(pairs[t][v], weights[v], columns);
            }
          }
        }
      }
      if constexpr (Kind.form.at_once) continue;
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
        } else {
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
  float* y = call.y + token * call.apart() + row;
  HWY_ALIGN float all[Tokens * room] = {};
  const bool whole = there == rows;
  for (size_t t = 0; t < Tokens && !whole && first != 0; ++t) {
    std::copy(y + t * call.apart(), y + t * call.apart() + there, all + t * room);
  }
  float* const to = whole ? y : all;
  const size_t stride = whole ? call.apart() : room;
  size_t vector = 0;  // of lanes rows
  for (; vector + 2 <= panels * parts; vector += 2) {
    const size_t next = vector + 1;
    if constexpr (in_pairs) {
      byte_tile_in_memory<Kind, Tokens, 2>(call, offset, {w[vector / parts], w[next / parts]},
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
    std::copy(all + t * room, all + t * room + there, y + t * call.apart());
  }
}

template <storage S, byte_form Form = one_byte>
inline void bytes_matmul_of(const cpu::product_call& call) {
  constexpr byte_kind kind = kind_of<S, Form>;
  // 12 sums in integers and 12 in floats; with 16 registers 4 of each, or 12 in integers; in pairs 12 in 16 bits, or 6 and 6 in
  // 32.
  constexpr size_t most = in_pairs ? (Form.at_once || kind.together == 8 ? 6 : 3) : lanes == 16 ? 6 : 2;
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

// ---- One token, in digits ------------------------------------------------------------------------------------------------

// Whether products of digits are faster here than of 16-bit levels: weights are taken apart four levels at a time rather than
// two, which pays where an instruction multiplies four bytes or two sums of two.
inline constexpr bool by_digits = HWY_ARCH_X86 && (in_pairs || HWY_TARGET <= HWY_AVX3_DL);

// Word Word of sub-block Sub times its four columns of both digits of every token: sums of the half that they are in.
template <storage S, size_t Sub, size_t Word, size_t Parts, size_t Tokens>
HWY_INLINE void dot_digits(const std::byte* block, const int8_t* x, size_t x_stride, size_t part,
                           levels16 (&pairs)[Parts][Tokens][2], sums32 (&first)[Parts][Tokens][2],
                           sums32 (&second)[Parts][Tokens][2]) {
  const hn::Repartition<uint8_t, int_lanes> du8;
  const hn::Repartition<int8_t, int_lanes> d8;
  constexpr size_t half = Word / 4;
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    const auto w = hn::BitCast(du8, offset_bytes<S, Sub, Word>(block, part + p));
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      const auto x0 = hn::BitCast(d8, four_columns(x + t * x_stride + 4 * Word));
      const auto x1 = hn::BitCast(d8, four_columns(x + t * x_stride + 32 + 4 * Word));
      sums32& sum = first[p][t][half];
      if constexpr (in_pairs) {
        constexpr size_t together = kind_of<S, two_digits>.together;
        const level_lanes dl;
        levels16 (&pair)[2] = pairs[p][t];
        if constexpr (Word % together == 0) {
          pair[0] = hn::SatWidenMulPairwiseAdd(dl, w, x0);
          pair[1] = hn::SatWidenMulPairwiseAdd(dl, w, x1);
        } else {
          pair[0] = dot_bytes(pair[0], w, x0);
          pair[1] = dot_bytes(pair[1], w, x1);
        }
        if constexpr (Word % together == together - 1) {
          sum = dot(sum, pair[0], hn::Set(dl, int16_t{1}));
          sum = dot(sum, pair[1], hn::Set(dl, int16_t{128}));
        }
      } else {
        sum = dots_of_target::add_four(sum, w, x0);
        second[p][t][half] = dots_of_target::add_four(second[p][t][half], w, x1);
      }
    }
  }
}

// Sums of the sub-block's two halves, for Parts vectors of rows from `part` and Tokens tokens.
//
// x_sum   of each token's halves, for what the levels' offset added
template <storage S, size_t Sub, size_t Parts, size_t Tokens, size_t... Word>
HWY_INLINE void dot_sub_block_of_digits(const std::byte* block, const int8_t* x, size_t x_stride, const int32_t* x_sum,
                                        size_t sum_stride, size_t part, std::index_sequence<Word...>,
                                        sums32 (&sums)[Parts][Tokens][2]) {
  const int_lanes di;
  constexpr int offset = byte_offset<S>;
  levels16 pairs[Parts][Tokens][2];
  sums32 second[Parts][Tokens][2];
  G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
    G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
      G4_UNROLL for (size_t half = 0; half < 2; ++half) {
        sums[p][t][half] = hn::Set(di, -offset * x_sum[t * sum_stride + half]);
        second[p][t][half] = hn::Zero(di);
      }
    }
  }
  (dot_digits<S, Sub, Word>(block, x, x_stride, part, pairs, sums, second), ...);
  if constexpr (!in_pairs) {
    G4_UNROLL for (size_t p = 0; p < Parts; ++p) {
      G4_UNROLL for (size_t t = 0; t < Tokens; ++t) {
        G4_UNROLL for (size_t half = 0; half < 2; ++half) {
          sums[p][t][half] = hn::Add(sums[p][t][half], hn::ShiftLeft<7>(second[p][t][half]));
        }
      }
    }
  }
}

// ---- Few tokens, in digits -----------------------------------------------------------------------------------------------

// Blocks that are taken apart before tokens meet them: two panels of them stay in the first-level cache.
inline constexpr size_t few_blocks = 8;

// Weights pass once, whatever the number of tokens, of which call.x has the digits; more than two.
template <storage S>
inline void few_tokens_matmul_of(const cpu::product_call& whole) {
  constexpr byte_kind kind = kind_of<S, two_digits>;
  constexpr size_t most = 4;  // 16 sums in integers, of two digits, and 8 in floats
  using facts = panel_facts<S>;
  cpu::product_call call = whole;
  call.bytes = {call.x.digits, call.x.step, call.x.sum, call.x.total, call.x.blocks};
  const size_t blocks = call.x.blocks;
  const size_t groups = (call.tokens + most - 1) / most;
  const size_t panel_bytes = cpu::panel_size(S, call.columns);
  const byte_panel w[2] = {byte_panel_in(call.scratch), byte_panel_in(call.scratch + byte_panel_bytes)};
  for (size_t p = call.first; p < call.first + call.count; p += 2) {
    const size_t panels = std::min<size_t>(2, call.first + call.count - p);
    for (size_t first = 0; first < blocks; first += few_blocks) {
      const size_t count = std::min(few_blocks, blocks - first);
      for (size_t i = 0; i < panels; ++i) {
        constexpr size_t piece = few_blocks / facts::subs * (facts::level_bytes + facts::scale_bytes);
        const std::byte* ahead = call.w + (p + i - call.first) * panel_bytes + first / few_blocks * piece + early;
        for (size_t line = 0; line < piece; line += 64) fetch_early(ahead + line);
        bytes_of_panel<S>(call, p + i, first, count, w[i]);
      }
      for (size_t g = 0, token = 0; g < groups; ++g) {  // of nearly the same size
        const size_t end = call.tokens * (g + 1) / groups;
        switch (end - token) {
          case 4:
            bytes_times_tokens<kind, 4>(call, byte_offset<S>, w, p, panels, token, first, count);
            break;
          case 3:
            bytes_times_tokens<kind, 3>(call, byte_offset<S>, w, p, panels, token, first, count);
            break;
          default: bytes_times_tokens<kind, 2>(call, byte_offset<S>, w, p, panels, token, first, count);
        }
        token = end;
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

template <byte_form Form>
inline void bytes_matmul_in(const cpu::product_call& call) {
  switch (call.origin) {
    case storage::q4_0: return bytes_matmul_of<storage::q4_0, Form>(call);
    case storage::q4_1: return bytes_matmul_of<storage::q4_1, Form>(call);
    case storage::q5_0: return bytes_matmul_of<storage::q5_0, Form>(call);
    case storage::q5_1: return bytes_matmul_of<storage::q5_1, Form>(call);
    case storage::q4_k: return bytes_matmul_of<storage::q4_k, Form>(call);
    case storage::q5_k: return bytes_matmul_of<storage::q5_k, Form>(call);
    case storage::mxfp4: return bytes_matmul_of<storage::mxfp4, Form>(call);
    default: break;
  }
  if constexpr (!in_pairs || Form.at_once) {  // otherwise their levels are too large, and nobody asks
    switch (call.origin) {
      case storage::iq4_nl: return bytes_matmul_of<storage::iq4_nl, Form>(call);
      case storage::iq4_xs: return bytes_matmul_of<storage::iq4_xs, Form>(call);
      default: return bytes_matmul_of<storage::q8_0, Form>(call);
    }
  }
}

// Whether 8-bit activations are multiplied faster here than 16-bit ones, by measurement (docs/performance.md). In pairs that is
// where products of bytes fit 16 bits, several before they are widened; with VNNI wherever its dot products are used.
inline bool bytes_pay(storage s) {
  if constexpr (!in_pairs) return true;
  if constexpr (vnni_is_possible) {
    if (cpu::avx_vnni_is_usable()) return s != storage::q2_k && s != storage::q3_k && s != storage::q6_k;
  }
  return s != storage::q2_k && s != storage::q8_0 && s != storage::iq4_nl && s != storage::iq4_xs;
}

inline void panel_matmul_bytes(const cpu::product_call& call) {
  if constexpr (vnni_is_possible) {
    if (cpu::avx_vnni_is_usable()) return bytes_matmul_in<one_byte_at_once>(call);
  }
  bytes_matmul_in<one_byte>(call);
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PANEL_MATMUL_BYTES_INL_H_
