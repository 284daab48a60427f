/// How the numbers of a weight are stored: plain floats, or blocks of small integers that share a scale.
///
/// Source: the block layouts of GGUF files (docs/formats.md has the table). Elements of a row are consecutive, rows are
/// consecutive, and a row is a whole number of blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace g4 {

enum class storage : std::uint8_t {
  f64,  ///< caches of the float64 reference; no file holds it
  f32,
  f16,
  bf16,
  q4_0,    ///< 32 elements, 18 bytes: (q − 8)·d
  q4_1,    ///< 32 elements, 20 bytes: q·d + m
  q5_0,    ///< 32 elements, 22 bytes: (q − 16)·d
  q5_1,    ///< 32 elements, 24 bytes: q·d + m
  q8_0,    ///< 32 elements, 34 bytes: q·d
  q4_k,    ///< 256 elements, 144 bytes: d·sc·q − dmin·mn, 8 sub-blocks of 32
  q5_k,    ///< 256 elements, 176 bytes: as q4_k with a fifth bit
  q6_k,    ///< 256 elements, 210 bytes: d·sc·(q − 32), 16 sub-blocks of 16
  q2_k,    ///< 256 elements, 84 bytes: d·sc·q − dmin·mn, 16 sub-blocks of 16
  q3_k,    ///< 256 elements, 110 bytes: d·sc·(q − 4), 16 sub-blocks of 16
  iq4_nl,  ///< 32 elements, 18 bytes: d·level[q], levels that lie closer to nought than further out
  iq4_xs,  ///< 256 elements, 136 bytes: d·sc·level[q], 8 sub-blocks of 32
  mxfp4,   ///< 32 elements, 17 bytes: 2^(e − 127)·x, x floats of 4 bits
  i16,  ///< caches of the cpu backend's fast mode: 16-bit levels, one float32 step per row kept apart; no file holds it
};

struct storage_facts {
  std::string_view name;
  std::size_t block_elements;  ///< elements in a block; 1 for plain floats
  std::size_t block_bytes;
};

namespace detail {

[[nodiscard]] constexpr storage_facts facts_by_name(storage s) {
  switch (s) {
    case storage::f64: return {"F64", 1, 8};
    case storage::f32: return {"F32", 1, 4};
    case storage::f16: return {"F16", 1, 2};
    case storage::bf16: return {"BF16", 1, 2};
    case storage::q4_0: return {"Q4_0", 32, 18};
    case storage::q4_1: return {"Q4_1", 32, 20};
    case storage::q5_0: return {"Q5_0", 32, 22};
    case storage::q5_1: return {"Q5_1", 32, 24};
    case storage::q8_0: return {"Q8_0", 32, 34};
    case storage::q4_k: return {"Q4_K", 256, 144};
    case storage::q5_k: return {"Q5_K", 256, 176};
    case storage::q6_k: return {"Q6_K", 256, 210};
    case storage::q2_k: return {"Q2_K", 256, 84};
    case storage::q3_k: return {"Q3_K", 256, 110};
    case storage::iq4_nl: return {"IQ4_NL", 32, 18};
    case storage::iq4_xs: return {"IQ4_XS", 256, 136};
    case storage::mxfp4: return {"MXFP4", 32, 17};
    case storage::i16: return {"I16", 1, 2};
  }
  return {"unknown", 0, 0};
}

/// The same as a table, so that no user of `facts_of` holds the code of a switch; the last line is "unknown".
inline constexpr auto facts_table = [] {
  std::array<storage_facts, static_cast<std::size_t>(storage::i16) + 2> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = facts_by_name(static_cast<storage>(i));
  return table;
}();

}  // namespace detail

[[nodiscard]] constexpr storage_facts facts_of(storage s) {
  const auto at = static_cast<std::size_t>(s);
  return detail::facts_table[at < detail::facts_table.size() ? at : detail::facts_table.size() - 1];
}

/// How many storages there are: `static_cast<storage>(i)` for i below it.
inline constexpr std::size_t storages = static_cast<std::size_t>(storage::i16) + 1;

/// Bytes of one row of `elements` numbers; 0 when the row is not a whole number of blocks.
[[nodiscard]] constexpr std::size_t row_bytes(storage s, std::size_t elements) {
  const storage_facts f = facts_of(s);
  if (f.block_elements == 0 || elements % f.block_elements != 0) return 0;
  return elements / f.block_elements * f.block_bytes;
}

}  // namespace g4
