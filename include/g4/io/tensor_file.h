/// What a checkpoint is, whatever its format: named tensors, and the mapped files that hold their bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/mapped_file.h"
#include "g4/io/shown.h"
#include "g4/tensor/let_go.h"
#include "g4/tensor/storage.h"

namespace g4::io {

/// How a format stores the elements of a tensor: one of g4's storages, or something g4 knows only by name and size
/// (integers, double floats, block formats it does not read).
struct element_type {
  std::string_view name;           ///< as the format spells it: "BF16", "I64", "Q3_K"
  std::size_t block_elements = 0;  ///< elements in a block; 1 for plain numbers
  std::size_t block_bytes = 0;
  std::optional<storage> weights;  ///< how g4 reads it as weights; nothing if it does not
};

/// The element type of one of g4's storages.
[[nodiscard]] constexpr element_type element_of(storage s) {
  const storage_facts facts = facts_of(s);
  return {facts.name, facts.block_elements, facts.block_bytes, s};
}

/// Sizes of a tensor, outermost first: [rows, columns] for a matrix, whose rows lie one after the other.
class extents {
 public:
  static constexpr std::size_t most = 8;

  constexpr extents() = default;
  constexpr extents(std::initializer_list<std::size_t> sizes) {
    for (const std::size_t size : sizes) push_back(size);
  }
  /// Sizes beyond the eighth are ignored: a reader refuses them before it comes to that.
  constexpr void push_back(std::size_t size) {
    if (rank_ < most) sizes_[rank_++] = size;
  }
  [[nodiscard]] constexpr std::size_t rank() const { return rank_; }
  [[nodiscard]] constexpr std::size_t operator[](std::size_t i) const { return sizes_[i]; }
  [[nodiscard]] constexpr const std::size_t* begin() const { return sizes_.data(); }
  [[nodiscard]] constexpr const std::size_t* end() const { return sizes_.data() + rank_; }
  [[nodiscard]] constexpr bool operator==(const extents& other) const {
    return std::equal(begin(), end(), other.begin(), other.end());
  }

  /// Length of a row; 1 for a scalar.
  [[nodiscard]] constexpr std::size_t columns() const { return rank_ == 0 ? 1 : sizes_[rank_ - 1]; }
  /// The product of all sizes but the last. Only for sizes that `bytes_of` has accepted.
  [[nodiscard]] constexpr std::size_t rows() const {
    std::size_t product = 1;
    for (std::size_t i = 0; i + 1 < rank_; ++i) product *= sizes_[i];
    return product;
  }
  [[nodiscard]] constexpr std::size_t elements() const { return rows() * columns(); }

 private:
  std::array<std::size_t, most> sizes_{};
  std::size_t rank_ = 0;
};

/// "[1024, 640]"
[[nodiscard]] G4_INLINE std::string to_string(const extents& dims);

/// a · b, or nothing when it does not fit.
[[nodiscard]] constexpr std::optional<std::size_t> multiply(std::size_t a, std::size_t b) {
  if (a != 0 && b > SIZE_MAX / a) return std::nullopt;
  return a * b;
}

/// Bytes of a tensor; nothing when they do not fit into a size, or a row is not a whole number of blocks.
[[nodiscard]] constexpr std::optional<std::size_t> bytes_of(const element_type& type, const extents& dims) {
  if (type.block_elements == 0 || dims.columns() % type.block_elements != 0) return std::nullopt;
  std::optional<std::size_t> bytes = multiply(dims.columns() / type.block_elements, type.block_bytes);
  // A size of nil among overflowing ones still overflows: the order of multiplication must not matter.
  std::optional<std::size_t> elements = dims.columns();
  for (std::size_t i = 0; i + 1 < dims.rank(); ++i) {
    if (bytes) bytes = multiply(*bytes, dims[i]);
    if (elements && dims[i] != 0) elements = multiply(*elements, dims[i]);
  }
  return elements ? bytes : std::nullopt;
}

/// A tensor's name is 1 to 1024 printable ASCII characters; so are all names of all formats, and nothing else needs
/// care when it is printed.
[[nodiscard]] G4_INLINE bool is_tensor_name(std::string_view name);

/// One tensor of a checkpoint. `bytes` has the size that type and dims ask for.
struct stored_tensor {
  std::string name;
  element_type type;
  extents dims;
  std::span<const std::byte> bytes;
  std::uint32_t file = 0;  ///< which of tensor_file::files() holds the bytes
};

/// A checkpoint has at most this many tensors (the largest Gemma has some ten thousand when every expert is on its
/// own), so that tables about tensors stay small next to any file.
inline constexpr std::size_t most_tensors = 65'536;

/// Named tensors of one or several mapped files. Copying shares the maps.
class tensor_file {
 public:
  /// Refuses two tensors of one name.
  ///
  /// name   what errors call the whole: a path
  /// files  kept alive as long as this is; may be empty if the caller keeps the bytes alive
  [[nodiscard]] static result<tensor_file> make(std::string name, std::vector<stored_tensor> tensors,
                                                std::vector<std::shared_ptr<const mapped_file>> files);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// In the order of the file (of the files, one after the other).
  [[nodiscard]] std::span<const stored_tensor> tensors() const { return tensors_; }
  [[nodiscard]] std::span<const std::shared_ptr<const mapped_file>> files() const { return files_; }

  /// The tensor of that name, or null.
  [[nodiscard]] const stored_tensor* find(std::string_view name) const;

  /// What errors call the file that holds a tensor: its own path where the checkpoint has several files.
  [[nodiscard]] const std::string& file_name(const stored_tensor& tensor) const;

  /// To be told which bytes of a tensor nobody will read again soon: lets go of their pages. Good while the file is.
  [[nodiscard]] let_go pages_of(const stored_tensor& tensor) const;

 private:
  std::string name_;
  std::vector<stored_tensor> tensors_;
  std::vector<std::uint32_t> by_name_;
  std::vector<std::shared_ptr<const mapped_file>> files_;
};

/// What tells a checkpoint from another: names, types and sizes of its tensors, and the first bytes of each, in which two
/// trainings of one model differ.
[[nodiscard]] G4_INLINE std::uint64_t fingerprint_of(const tensor_file& file);

/// How g4 reads a tensor as weights, or the sentence that says which storages it does read.
[[nodiscard]] G4_INLINE result<storage> storage_of(const tensor_file& file, const stored_tensor& tensor);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/tensor_file.inl"  // IWYU pragma: keep
#endif
