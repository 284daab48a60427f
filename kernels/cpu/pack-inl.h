// Rows of a file → panels of sixteen rows with their words interleaved: a transposition. Definition: include/g4/backend/pack.h.
#if defined(G4_KERNELS_CPU_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_PACK_INL_H_
#undef G4_KERNELS_CPU_PACK_INL_H_
#else
#define G4_KERNELS_CPU_PACK_INL_H_
#endif

#include "g4/backend/calls.h"
#include "g4/backend/pack.h"
#include "kernels/cpu/unpack-inl.h"

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

// `fifth_bits_by_half` of sixteen rows.
HWY_INLINE void interleave_fifth_bits(const std::byte* rows, size_t stride, std::byte* to) {
  const word_lanes dw;
  HWY_ALIGN uint32_t words[cpu::panel_rows];
  for (size_t r = 0; r < cpu::panel_rows; ++r) std::memcpy(words + r, rows + r * stride, sizeof(uint32_t));
  for (size_t part = 0; part < cpu::panel_rows / lanes; ++part) {
    words32 bits = hn::LoadU(dw, words + part * lanes);
    const auto exchange = [&](uint32_t mask, int distance) HWY_ATTR {
      const auto differ = hn::And(hn::Xor(bits, hn::ShiftRightSame(bits, distance)), hn::Set(dw, mask));
      bits = hn::Xor(bits, hn::Xor(differ, hn::ShiftLeftSame(differ, distance)));
    };
    exchange(0x0c0c0c0cu, 2);
    exchange(0x00f000f0u, 4);
    exchange(0x0000ff00u, 8);
    hn::StoreU(bits, dw, reinterpret_cast<uint32_t*>(to) + part * lanes);
  }
}

inline void pack_whole_panel(const matrix_view& w, size_t panel, std::byte* levels) {
  const storage_facts facts = facts_of(w.type);
  const cpu::block_words at = cpu::words_of(w.type);
  const size_t blocks = w.columns / facts.block_elements;
  const size_t stride = w.stride();
  const std::byte* rows = w.row(panel * cpu::panel_rows);
  const std::byte* ahead = rows + early;
  std::byte* scales = levels + blocks * cpu::panel_rows * cpu::packed_level_bytes(w.type);
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
      cpu::pack_scales(w.type, rows + r * stride, scales + 2 * r, scales + r);
    }
    scales += cpu::panel_rows * cpu::packed_scale_bytes(w.type);
  }
}

inline void pack(const cpu::pack_call& call) {
  const size_t panel_bytes = cpu::packed_panel_bytes(call.w.type, call.w.columns);
  std::byte* out = call.out;
  for (size_t p = call.first; p < call.first + call.count; ++p, out += panel_bytes) {
    if ((p + 1) * cpu::panel_rows <= call.w.rows) {
      pack_whole_panel(call.w, p, out);
    } else {
      cpu::pack_panel(call.w, p, out);  // the last panel has rows missing
    }
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_PACK_INL_H_
