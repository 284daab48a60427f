/// Writes the tensors of a checkpoint one after the other, as they become known; the formats' writers make it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/file_writer.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

/// A tensor that is going to be written.
struct tensor_plan {
  std::string name;
  element_type type;  ///< element_of(storage::bf16), or what a reader of the same format gave
  extents dims;       ///< outermost first
};

/// A checkpoint in the making. Sizes were fixed by the plan, so that the header could be written first; the bytes follow
/// in the plan's order, in pieces of any length.
class tensor_writer {
 public:
  /// One tensor's bytes, or the next piece of them.
  [[nodiscard]] result<void> write(std::string_view name, std::span<const std::byte> bytes);

  /// Puts the file under its name. Refuses while bytes are missing.
  [[nodiscard]] result<void> finish();

  /// For the formats: writes the header and waits for the first tensor. The data of every tensor ends in zeros up to a
  /// multiple of `alignment` bytes.
  [[nodiscard]] static result<tensor_writer> start(const std::string& path, std::string_view header,
                                                   std::span<const tensor_plan> plan, std::size_t alignment);

  /// For the formats: what no format can hold is refused before a file is made.
  [[nodiscard]] static result<void> check(const std::string& path, std::span<const tensor_plan> plan);

 private:
  tensor_writer(file_writer file, std::size_t alignment) : file_(std::move(file)), alignment_(alignment) {}

  /// Past every tensor that is complete, those without elements included.
  [[nodiscard]] result<void> step();

  file_writer file_;
  std::size_t alignment_ = 1;
  std::vector<std::pair<std::string, std::size_t>> sizes_;
  std::size_t next_ = 0;
  std::size_t in_tensor_ = 0;
};

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/tensor_writer.inl"  // IWYU pragma: keep
#endif
