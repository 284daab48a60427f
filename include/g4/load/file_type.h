/// Types of GGUF files: which storage each tensor gets, as llama.cpp's quantiser gives it (docs/formats.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "g4/model/schema.h"
#include "g4/tensor/storage.h"

namespace g4::load {

struct file_type {
  std::string_view name;
  storage base;
  std::uint32_t id;  ///< general.file_type
};

inline constexpr std::array file_types{
    file_type{"BF16", storage::bf16, 32},
    file_type{"Q8_0", storage::q8_0, 7},
    file_type{"Q4_0", storage::q4_0, 2},
    file_type{"Q4_K", storage::q4_k, 15},  // the mixture that is called Q4_K_M
    file_type{"Q6_K", storage::q6_k, 18},
};

[[nodiscard]] constexpr std::optional<file_type> file_type_called(std::string_view name) {
  for (const file_type& t : file_types) {
    if (t.name == name) return t;
  }
  return std::nullopt;
}

/// The storage for rows of `columns`: 256-element blocks fall back to 32-element ones of about their precision, and
/// those to half precision.
[[nodiscard]] constexpr storage fitting(storage wanted, std::size_t columns) {
  if (row_bytes(wanted, columns) != 0) return wanted;
  const storage smaller = wanted == storage::q4_k   ? storage::q5_0
                          : wanted == storage::q5_k ? storage::q5_1
                          : wanted == storage::q6_k ? storage::q8_0
                                                    : storage::f16;
  return row_bytes(smaller, columns) != 0 ? smaller : storage::f16;
}

/// The storage of a tensor in a file of type `base`.
///
/// plain   what matrices that are never quantised are stored as
[[nodiscard]] constexpr storage storage_in_gguf(const tensor_entry& t, const text_spec& m, storage base,
                                                storage plain = storage::bf16) {
  if (!is_matrix(t.as) || t.what.stored == grade::exact) return storage::f32;
  const auto columns = static_cast<std::size_t>(t.extents[t.rank - 1]);
  switch (t.what.stored) {
    case grade::plain: return plain;
    case grade::rows: return fitting(base == storage::q4_0 || base == storage::q4_k ? storage::q6_k : base, columns);
    case grade::careful: {
      const int n = m.layers;
      const bool more = t.layer < n / 8 || t.layer >= 7 * n / 8 || (t.layer - n / 8) % 3 == 2;
      return fitting(base == storage::q4_k && more ? storage::q6_k : base, columns);
    }
    case grade::usual:
    case grade::exact: break;
  }
  return fitting(base, columns);
}

}  // namespace g4::load
