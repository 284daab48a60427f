// Rows of a file → panels of sixteen rows with their words interleaved: a transposition. Definition: include/g4/backend/cpu/to_panels.h.
#if defined(G4_KERNELS_CPU_TO_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_TO_PANELS_INL_H_
#undef G4_KERNELS_CPU_TO_PANELS_INL_H_
#else
#define G4_KERNELS_CPU_TO_PANELS_INL_H_
#endif

#include <algorithm>

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/to_panels.h"
#include "kernels/cpu/quantise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

using word_lanes = hn::Rebind<uint32_t, float_lanes>;
using words32 = hn::Vec<word_lanes>;

// Four words of rows 0, 4, 8, … of those that follow `p` at `stride` bytes: as many as a vector has room for.
template <size_t Lanes = lanes>
HWY_INLINE words32 four_words_of_every_fourth(const std::byte* p, size_t stride) {
  const auto row = [&](size_t r) HWY_ATTR { return hn::LoadU(hn::Full128<uint8_t>(), as_bytes(p + r * stride)); };
  const auto both = [](auto low, auto high)
                        HWY_ATTR { return hn::Combine(hn::Twice<hn::DFromV<decltype(low)>>(), high, low); };
  if constexpr (Lanes == 16) {
    return hn::BitCast(word_lanes(), both(both(row(0), row(4)), both(row(8), row(12))));
  } else if constexpr (Lanes == 8) {
    return hn::BitCast(word_lanes(), both(row(0), row(4)));
  } else {
    return hn::BitCast(word_lanes(), row(0));
  }
}

// Words 0 to 3 of sixteen rows → [4, 16 rows].
HWY_INLINE void interleave_four_words(const std::byte* rows, size_t stride, std::byte* to) {
  const word_lanes dw;
  const hn::RepartitionToWide<word_lanes> dpair;
  for (size_t part = 0; part < cpu::panel_rows / lanes; ++part) {
    const std::byte* first = rows + part * lanes * stride;
    const auto r0 = four_words_of_every_fourth(first, stride);
    const auto r1 = four_words_of_every_fourth(first + stride, stride);
    const auto r2 = four_words_of_every_fourth(first + 2 * stride, stride);
    const auto r3 = four_words_of_every_fourth(first + 3 * stride, stride);
    const auto low01 = hn::BitCast(dpair, hn::InterleaveLower(dw, r0, r1));
    const auto low23 = hn::BitCast(dpair, hn::InterleaveLower(dw, r2, r3));
    const auto high01 = hn::BitCast(dpair, hn::InterleaveUpper(dw, r0, r1));
    const auto high23 = hn::BitCast(dpair, hn::InterleaveUpper(dw, r2, r3));
    auto* out = reinterpret_cast<uint32_t*>(to + part * lanes * sizeof(uint32_t));
    hn::StoreU(hn::BitCast(dw, hn::InterleaveLower(dpair, low01, low23)), dw, out);
    hn::StoreU(hn::BitCast(dw, hn::InterleaveUpper(dpair, low01, low23)), dw, out + 16);
    hn::StoreU(hn::BitCast(dw, hn::InterleaveLower(dpair, high01, high23)), dw, out + 32);
    hn::StoreU(hn::BitCast(dw, hn::InterleaveUpper(dpair, high01, high23)), dw, out + 48);
  }
}

// `fifth_bits_by_byte` of sixteen rows.
HWY_INLINE void interleave_fifth_bits(const std::byte* rows, size_t stride, std::byte* to) {
  const word_lanes dw;
  HWY_ALIGN uint32_t words[cpu::panel_rows];
  for (size_t r = 0; r < cpu::panel_rows; ++r) std::memcpy(words + r, rows + r * stride, sizeof(uint32_t));
  for (size_t part = 0; part < cpu::panel_rows / lanes; ++part) {
    words32 bits = hn::LoadU(dw, words + part * lanes);
    for (const cpu::bit_exchange& e : cpu::fifth_bits_by_byte) {
      const auto differ = hn::And(hn::Xor(bits, hn::ShiftRightSame(bits, e.distance)), hn::Set(dw, e.mask));
      bits = hn::Xor(bits, hn::Xor(differ, hn::ShiftLeftSame(differ, e.distance)));
    }
    hn::StoreU(bits, dw, reinterpret_cast<uint32_t*>(to) + part * lanes);
  }
}

// Blocks [first, first + count) of sixteen rows of plain floats: levels of 13 bits and a sign with one step per row and
// block of 32. Rows from `there` on, and columns behind the last, are nought.
inline void floats_to_levels(storage type, const std::byte* rows, size_t there, size_t columns, size_t first,
                             size_t count, int16_t* levels, float* steps) {
  const size_t element = facts_of(type).block_bytes;
  const size_t stride = row_bytes(type, columns);
  for (size_t b = 0; b < count; ++b, levels += 512, steps += 16) {
    HWY_ALIGN int16_t of_rows[cpu::panel_rows * 32];
    const size_t column = 32 * (first + b);
    for (size_t r = 0; r < cpu::panel_rows; ++r) {
      HWY_ALIGN float weights[32] = {};
      if (r < there) unpack(type, rows + r * stride + column * element, std::min<size_t>(32, columns - column), weights);
      steps[r] = quantise_block(weights, cpu::weight_top, of_rows + 32 * r, nullptr);
    }
    for (size_t i = 0; i < 4; ++i) {
      interleave_four_words(reinterpret_cast<const std::byte*>(of_rows + 8 * i), 64,
                            reinterpret_cast<std::byte*>(levels + 128 * i));
    }
  }
}

inline void whole_rows_to_panel(const matrix_view& w, size_t panel, std::byte* levels) {
  const storage_facts facts = facts_of(w.type);
  const cpu::block_words at = cpu::words_of(w.type);
  const size_t blocks = w.columns / facts.block_elements;
  const size_t stride = w.stride();
  const std::byte* rows = w.row(panel * cpu::panel_rows);
  const std::byte* ahead = rows + early;
  std::byte* scales = levels + blocks * cpu::panel_rows * cpu::panel_level_bytes(w.type);
  for (size_t b = 0; b < blocks; ++b, rows += facts.block_bytes) {
    for (size_t line = 0; line < cpu::panel_rows * facts.block_bytes; line += 64, ahead += 64) fetch_early(ahead);
    for (size_t i = 0; i < at.words; i += 4, levels += 256) {
      interleave_four_words(rows + at.words_at + 4 * i, stride, levels);
    }
    if (at.upper == 1) {
      interleave_fifth_bits(rows + at.upper_at, stride, levels);
      levels += 64;
    }
    for (size_t i = 0; i + 4 <= at.upper; i += 4, levels += 256) {
      interleave_four_words(rows + at.upper_at + 4 * i, stride, levels);
    }
    for (size_t r = 0; r < cpu::panel_rows; ++r) {
      cpu::scales_to_panel(w.type, rows + r * stride, scales + 2 * r, scales + r);
    }
    scales += cpu::panel_rows * cpu::panel_scale_bytes(w.type);
  }
}

// A panel of Q8_0 words by nibbles, with the norms of what the upper ones leave out.
inline void split_nibbles(const std::byte* words, size_t columns, const uint16_t* groups, std::byte* to) {
  const word_lanes dw;
  const hn::Repartition<int16_t, word_lanes> d16;
  const int_lanes di;
  const float_lanes df;
  const hn::RebindToUnsigned<decltype(d16)> du16;
  const cpu::nibble_panel at = cpu::nibble_panel_of(columns);
  const size_t blocks = columns / 32;
  std::memcpy(to + at.scales, words + blocks * 512, blocks * 32);
  std::memset(to + at.norms, 0, at.lower - at.norms);
  const auto high = hn::Set(dw, 0xf0f0f0f0u);
  const auto low = hn::Set(dw, 0x0f0f0f0fu);
  const auto eight = hn::Set(d16, int16_t{8});
  const auto pair_of = [&](size_t group, size_t row) HWY_ATTR {  // the two words of eight columns
    const auto* from = reinterpret_cast<const uint32_t*>(words + 128 * group + row);
    return std::pair(hn::LoadU(dw, from), hn::LoadU(dw, from + cpu::panel_rows));
  };
  const auto lower_of = [&](const auto& pair) HWY_ATTR {
    return hn::Or(hn::And(pair.first, low), hn::And(hn::ShiftLeft<4>(pair.second), high));
  };
  for (size_t i = 0; i < 4 * blocks; ++i) {
    for (size_t row = 0; row < 64; row += lanes * sizeof(uint32_t)) {
      hn::StoreU(lower_of(pair_of(groups[i], row)), dw, reinterpret_cast<uint32_t*>(to + at.lower + 64 * i + row));
    }
  }
  for (size_t b = 0; b < blocks; ++b) {
    for (size_t part = 0; part < cpu::panel_rows / lanes; ++part) {
      auto squares = hn::Zero(di);
      for (size_t w = 0; w < 4; ++w) {
        const size_t row = part * lanes * sizeof(uint32_t);
        const auto pair = pair_of(4 * b + w, row);
        const words32 upper = hn::Or(hn::And(pair.first, high), hn::And(hn::ShiftRight<4>(pair.second), low));
        hn::StoreU(upper, dw, reinterpret_cast<uint32_t*>(to + 256 * b + 64 * w + row));
        const auto add_squares = [&](auto nibbles) HWY_ATTR {  // of one nibble in every 16 bits
          const auto v = hn::Sub(hn::BitCast(d16, hn::And(nibbles, hn::Set(du16, uint16_t{15}))), eight);
          squares = hn::Add(squares, hn::WidenMulPairwiseAdd(di, v, v));
        };
        const auto nibbles = hn::BitCast(du16, lower_of(pair));
        add_squares(nibbles);
        add_squares(hn::ShiftRight<4>(nibbles));
        add_squares(hn::ShiftRight<8>(nibbles));
        add_squares(hn::ShiftRight<12>(nibbles));
      }
      // A root that rounding made too small by one part in ten million is still rounded up.
      const auto norm = hn::Mul(hn::Sqrt(hn::ConvertTo(df, squares)), hn::Set(df, cpu::norm_unit * 1.00001f));
      const auto rounded_up = hn::DemoteTo(byte_lanes(), hn::ConvertTo(di, hn::Ceil(norm)));
      hn::StoreU(rounded_up, byte_lanes(), reinterpret_cast<uint8_t*>(to + at.norms + 16 * b + part * lanes));
    }
  }
}

// And back.
inline void join_nibbles(const std::byte* panel, size_t columns, const uint16_t* groups, std::byte* words) {
  const word_lanes dw;
  const cpu::nibble_panel at = cpu::nibble_panel_of(columns);
  const size_t blocks = columns / 32;
  const auto high = hn::Set(dw, 0xf0f0f0f0u);
  const auto low = hn::Set(dw, 0x0f0f0f0fu);
  for (size_t i = 0; i < 4 * blocks; ++i) {
    for (size_t row = 0; row < 64; row += lanes * sizeof(uint32_t)) {
      const words32 upper = hn::LoadU(dw, reinterpret_cast<const uint32_t*>(panel + 64 * groups[i] + row));
      const words32 lower = hn::LoadU(dw, reinterpret_cast<const uint32_t*>(panel + at.lower + 64 * i + row));
      auto* out = reinterpret_cast<uint32_t*>(words + 128 * groups[i] + row);
      hn::StoreU(hn::Or(hn::And(upper, high), hn::And(lower, low)), dw, out);
      hn::StoreU(hn::Or(hn::And(hn::ShiftLeft<4>(upper), high), hn::And(hn::ShiftRight<4>(lower), low)), dw,
                 out + cpu::panel_rows);
    }
  }
  std::memcpy(words + blocks * 512, panel + at.scales, blocks * 32);
}

inline void to_panels(const cpu::to_panels_call& call) {
  const size_t panel_bytes = cpu::panel_size(call.w.type, call.w.columns, call.order);
  std::byte* out = call.out;
  for (size_t p = call.first; p < call.first + call.count; ++p, out += panel_bytes) {
    if (cpu::has_levels(call.w.type)) {
      const size_t blocks = (call.w.columns + 31) / 32;
      const size_t row = p * cpu::panel_rows;
      floats_to_levels(call.w.type, call.w.row(row), std::min(cpu::panel_rows, call.w.rows - row), call.w.columns, 0,
                       blocks, reinterpret_cast<int16_t*>(out), reinterpret_cast<float*>(out + 1024 * blocks));
      continue;
    }
    std::byte* const words = call.order == cpu::panel_order::nibbles ? call.scratch : out;
    if ((p + 1) * cpu::panel_rows <= call.w.rows) {
      whole_rows_to_panel(call.w, p, words);
    } else {
      cpu::to_panel(call.w, p, words);  // the last panel has rows missing
    }
    if (call.order == cpu::panel_order::nibbles) split_nibbles(words, call.w.columns, call.groups, out);
  }
}

// Panels in the order of nibbles → in the order of words.
inline void nibbles_to_words(const cpu::nibbles_to_words_call& call) {
  const size_t from_bytes = cpu::panel_size(storage::q8_0, call.columns, cpu::panel_order::nibbles);
  const size_t to_bytes = cpu::panel_size(storage::q8_0, call.columns);
  for (size_t p = 0; p < call.count; ++p) {
    join_nibbles(call.panels + p * from_bytes, call.columns, call.groups, call.out + p * to_bytes);
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_TO_PANELS_INL_H_
