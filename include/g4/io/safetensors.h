/// Reads safetensors: one file, several with an index, or the folder that holds them.
///
///     8 bytes   n, length of the header (little-endian)
///     n bytes   JSON: {"name": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end]}, ...}
///     the rest  the tensors, back to back; offsets count from here
///
/// Source: the format's description in the safetensors repository. Everything it forbids is refused: holes, overlaps,
/// trailing bytes, repeated names, headers above 100 MB.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/mapped_file.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

/// The element type of a dtype's name; nothing for an unknown name.
[[nodiscard]] constexpr std::optional<element_type> safetensors_type(std::string_view name) {
  constexpr element_type known[] = {
      element_of(storage::f32),        element_of(storage::f16),        element_of(storage::bf16),
      {"F64", 1, 8, std::nullopt},     {"I64", 1, 8, std::nullopt},     {"I32", 1, 4, std::nullopt},
      {"I16", 1, 2, std::nullopt},     {"I8", 1, 1, std::nullopt},      {"U64", 1, 8, std::nullopt},
      {"U32", 1, 4, std::nullopt},     {"U16", 1, 2, std::nullopt},     {"U8", 1, 1, std::nullopt},
      {"BOOL", 1, 1, std::nullopt},    {"C64", 1, 8, std::nullopt},     {"F8_E4M3", 1, 1, std::nullopt},
      {"F8_E5M2", 1, 1, std::nullopt}, {"F8_E8M0", 1, 1, std::nullopt}, {"F6_E2M3", 4, 3, std::nullopt},
      {"F6_E3M2", 4, 3, std::nullopt}, {"F4", 2, 1, std::nullopt},
  };
  for (const element_type& type : known) {
    if (type.name == name) return type;
  }
  return std::nullopt;
}

/// Reads a safetensors file that is in memory already; `bytes` must outlive the result.
///
/// name   what errors call it
[[nodiscard]] G4_INLINE result<tensor_file> read_safetensors(std::span<const std::byte> bytes, const std::string& name);

/// Opens a checkpoint.
///
/// path   a .safetensors file, a .index.json file, or a folder that holds model.safetensors or
///        model.safetensors.index.json (looked for in this order)
[[nodiscard]] G4_INLINE result<tensor_file> open_safetensors(const std::string& path);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/safetensors.inl"  // IWYU pragma: keep
#endif
