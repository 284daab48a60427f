/// Writes the tensors of a checkpoint one after the other, as they become known; the formats' writers make it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  [[nodiscard]] result<void> write(std::string_view name, std::span<const std::byte> bytes) {
    if (next_ == sizes_.size()) return fail(file_.path(), ": has all its tensors; ", shown(name), " was not planned");
    if (sizes_[next_].first != name) {
      return fail(file_.path(), ": expected the bytes of ", sizes_[next_].first, ", was given those of ", shown(name));
    }
    if (bytes.size() > sizes_[next_].second - in_tensor_) {
      return fail(file_.path(), ": ", sizes_[next_].first, " has ", sizes_[next_].second,
                  " bytes by its plan, was given ", in_tensor_ + bytes.size());
    }
    if (auto written = file_.write(bytes); !written) return written;
    in_tensor_ += bytes.size();
    return step();
  }

  /// Puts the file under its name. Refuses while bytes are missing.
  [[nodiscard]] result<void> finish() {
    if (next_ != sizes_.size()) {
      return fail(file_.path(), ": ", sizes_[next_].first, " has ", sizes_[next_].second,
                  " bytes by its plan, was given ", in_tensor_);
    }
    return file_.finish();
  }

  /// For the formats: writes the header and waits for the first tensor. The data of every tensor ends in zeros up to a
  /// multiple of `alignment` bytes.
  [[nodiscard]] static result<tensor_writer> start(const std::string& path, std::string_view header,
                                                   std::span<const tensor_plan> plan, std::size_t alignment) {
    auto file = file_writer::create(path);
    if (!file) return unexpected(std::move(file.error()));
    if (auto written = file->write(header); !written) return unexpected(std::move(written.error()));
    tensor_writer out(std::move(*file), alignment);
    for (const tensor_plan& tensor : plan) out.sizes_.emplace_back(tensor.name, *bytes_of(tensor.type, tensor.dims));
    if (auto ready = out.step(); !ready) return unexpected(std::move(ready.error()));
    return out;
  }

  /// For the formats: what no format can hold is refused before a file is made.
  [[nodiscard]] static result<void> check(const std::string& path, std::span<const tensor_plan> plan) {
    if (plan.size() > most_tensors) {
      return fail(path, ": is to hold ", plan.size(), " tensors; g4 writes at most ", most_tensors);
    }
    std::vector<std::string_view> names;
    for (const tensor_plan& tensor : plan) {
      if (!is_tensor_name(tensor.name)) return fail(path, ": no tensor can be called \"", shown(tensor.name), "\"");
      if (!bytes_of(tensor.type, tensor.dims)) {
        return fail(path, ": ", tensor.name, " is to be ", std::string(tensor.type.name), " ", to_string(tensor.dims),
                    ", which is no possible size");
      }
      names.push_back(tensor.name);
    }
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) return fail(path, ": is to hold two tensors called ", shown(*twice));
    return {};
  }

 private:
  tensor_writer(file_writer file, std::size_t alignment) : file_(std::move(file)), alignment_(alignment) {}

  /// Past every tensor that is complete, those without elements included.
  [[nodiscard]] result<void> step() {
    while (next_ < sizes_.size() && in_tensor_ == sizes_[next_].second) {
      constexpr std::array<std::byte, 256> zeros{};
      std::size_t padding = (alignment_ - in_tensor_ % alignment_) % alignment_;
      while (padding > 0) {
        const std::size_t piece = std::min(padding, zeros.size());
        if (auto written = file_.write(std::span(zeros).first(piece)); !written) return written;
        padding -= piece;
      }
      ++next_;
      in_tensor_ = 0;
    }
    return {};
  }

  file_writer file_;
  std::size_t alignment_ = 1;
  std::vector<std::pair<std::string, std::size_t>> sizes_;
  std::size_t next_ = 0;
  std::size_t in_tensor_ = 0;
};

}  // namespace g4::io
