/// Reads GGUF, versions 2 and 3: typed metadata (gguf_metadata.h), and tensors in plain or block storages.
///
///     "GGUF", version u32, number of tensors u64, number of keys u64
///     keys      each: name string, type u32, value      (string: length u64, bytes; array: type u32, length u64, values)
///     tensors   each: name string, rank u32, sizes u64… (innermost first), type u32, offset u64
///     padding to `general.alignment` (32 where the key is missing), then the data; offsets count from there
///
/// Source: the format's description in ggml (docs/gguf.md) and ggml's reader. Opening a file walks the keys once and
/// copies none of them: strings and arrays stay where they are and are read through views.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/gguf_metadata.h"
#include "g4/io/mapped_file.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

/// A GGUF file: its keys and its tensors. Views in `metadata` stay valid as long as a copy of `tensors` is kept.
struct gguf_file {
  gguf_metadata metadata;
  tensor_file tensors;
  std::uint32_t version = 3;
  std::size_t alignment = 32;
};

/// The element type behind a number in the file; nothing for numbers that ggml has not given out (or has withdrawn).
[[nodiscard]] constexpr std::optional<element_type> ggml_type(std::uint32_t id) {
  struct row {
    std::uint32_t id;
    element_type type;
  };
  constexpr row known[] = {
      {0, element_of(storage::f32)},
      {1, element_of(storage::f16)},
      {2, element_of(storage::q4_0)},
      {3, element_of(storage::q4_1)},
      {6, element_of(storage::q5_0)},
      {7, element_of(storage::q5_1)},
      {8, element_of(storage::q8_0)},
      {9, {"Q8_1", 32, 36, std::nullopt}},
      {10, element_of(storage::q2_k)},
      {11, element_of(storage::q3_k)},
      {12, element_of(storage::q4_k)},
      {13, element_of(storage::q5_k)},
      {14, element_of(storage::q6_k)},
      {15, {"Q8_K", 256, 292, std::nullopt}},
      {16, {"IQ2_XXS", 256, 66, std::nullopt}},
      {17, {"IQ2_XS", 256, 74, std::nullopt}},
      {18, {"IQ3_XXS", 256, 98, std::nullopt}},
      {19, {"IQ1_S", 256, 50, std::nullopt}},
      {20, element_of(storage::iq4_nl)},
      {21, {"IQ3_S", 256, 110, std::nullopt}},
      {22, {"IQ2_S", 256, 82, std::nullopt}},
      {23, element_of(storage::iq4_xs)},
      {24, {"I8", 1, 1, std::nullopt}},
      {25, {"I16", 1, 2, std::nullopt}},
      {26, {"I32", 1, 4, std::nullopt}},
      {27, {"I64", 1, 8, std::nullopt}},
      {28, {"F64", 1, 8, std::nullopt}},
      {29, {"IQ1_M", 256, 56, std::nullopt}},
      {30, element_of(storage::bf16)},
      {34, {"TQ1_0", 256, 54, std::nullopt}},
      {35, {"TQ2_0", 256, 66, std::nullopt}},
      {39, element_of(storage::mxfp4)},
      {40, {"NVFP4", 64, 36, std::nullopt}},
      {41, {"Q1_0", 128, 18, std::nullopt}},
  };
  for (const row& r : known) {
    if (r.id == id) return r.type;
  }
  return std::nullopt;
}

namespace detail {

/// A place in the file that never passes its end: once something did not fit, nothing else does.
struct gguf_cursor {
  std::span<const std::byte> bytes;
  std::size_t at = 0;
  bool ended = false;

  [[nodiscard]] std::size_t left() const { return bytes.size() - at; }
  std::span<const std::byte> take(std::uint64_t count);
  template <class Number>
  Number number() {
    const auto part = take(sizeof(Number));
    return part.empty() ? Number{} : number_at<Number>(part.data());
  }
  std::string_view string();
};

[[nodiscard]] G4_INLINE result<std::vector<gguf_value>> read_gguf_values(gguf_cursor& in, std::uint64_t count,
                                                                         const std::string& name);

}  // namespace detail

/// Reads a GGUF file that is in memory already; `bytes` must outlive the result.
///
/// name   what errors call it
[[nodiscard]] G4_INLINE result<gguf_file> read_gguf(std::span<const std::byte> bytes, const std::string& name);

/// Opens a GGUF file. Takes a few milliseconds, whatever its size: only the metadata is touched.
[[nodiscard]] G4_INLINE result<gguf_file> open_gguf(const std::string& path);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/gguf.inl"  // IWYU pragma: keep
#endif
