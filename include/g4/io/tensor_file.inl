/// tensor_file.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/fingerprint.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

G4_INLINE std::string to_string(const extents& dims) {
  std::string text = "[";
  for (const std::size_t size : dims) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

G4_INLINE bool is_tensor_name(std::string_view name) {
  return !name.empty() && name.size() <= 1024 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

G4_INLINE result<tensor_file> tensor_file::make(std::string name, std::vector<stored_tensor> tensors,
                                                std::vector<std::shared_ptr<const mapped_file>> files) {
  tensor_file out;
  out.name_ = std::move(name);
  out.tensors_ = std::move(tensors);
  out.files_ = std::move(files);
  out.by_name_.resize(out.tensors_.size());
  for (std::size_t i = 0; i < out.by_name_.size(); ++i) out.by_name_[i] = static_cast<std::uint32_t>(i);
  const auto name_of = [&out](std::uint32_t i) -> const std::string& { return out.tensors_[i].name; };
  std::sort(out.by_name_.begin(), out.by_name_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return name_of(a) < name_of(b); });
  const auto twice = std::adjacent_find(out.by_name_.begin(), out.by_name_.end(),
                                        [&](std::uint32_t a, std::uint32_t b) { return name_of(a) == name_of(b); });
  if (twice != out.by_name_.end()) {
    return fail(out.name_, ": holds two tensors called ", shown(name_of(*twice)));
  }
  return out;
}

G4_INLINE const stored_tensor* tensor_file::find(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [this](std::uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

G4_INLINE const std::string& tensor_file::file_name(const stored_tensor& tensor) const {
  return tensor.file < files_.size() ? files_[tensor.file]->path() : name_;
}

G4_INLINE let_go tensor_file::pages_of(const stored_tensor& tensor) const {
  if (tensor.file >= files_.size()) return {};
  return {files_[tensor.file].get(), [](const void* self, std::span<const std::byte> bytes) {
            static_cast<const mapped_file*>(self)->release(bytes);
          }};
}

G4_INLINE std::uint64_t fingerprint_of(const tensor_file& file) {
  constexpr std::size_t some = 64;
  fingerprint print;
  for (const stored_tensor& tensor : file.tensors()) {
    print.add(std::string_view(tensor.name));
    print.add(tensor.type.name);
    for (const std::size_t size : tensor.dims) print.add(size);
    print.add(tensor.bytes.first(std::min(some, tensor.bytes.size())));
  }
  return print.value();
}

G4_INLINE result<storage> storage_of(const tensor_file& file, const stored_tensor& tensor) {
  if (tensor.type.weights) return *tensor.type.weights;
  return fail(file.file_name(tensor), ": ", tensor.name, " is stored as ", std::string(tensor.type.name),
              ", which g4 does not read as weights; it reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, "
              "Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS and MXFP4. Convert the model to one of these, Q4_K_M for example");
}

}  // namespace g4::io
