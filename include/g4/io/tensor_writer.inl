/// tensor_writer.h, defined.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/tensor_writer.h"

namespace g4::io {

G4_INLINE result<void> tensor_writer::write(std::string_view name, std::span<const std::byte> bytes) {
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

G4_INLINE result<void> tensor_writer::finish() {
  if (next_ != sizes_.size()) {
    return fail(file_.path(), ": ", sizes_[next_].first, " has ", sizes_[next_].second,
                " bytes by its plan, was given ", in_tensor_);
  }
  return file_.finish();
}

G4_INLINE result<tensor_writer> tensor_writer::start(const std::string& path, std::string_view header,
                                                     std::span<const tensor_plan> plan, std::size_t alignment) {
  auto file = file_writer::create(path);
  if (!file) return unexpected(std::move(file.error()));
  if (auto written = file->write(header); !written) return unexpected(std::move(written.error()));
  tensor_writer out(std::move(*file), alignment);
  for (const tensor_plan& tensor : plan) out.sizes_.emplace_back(tensor.name, *bytes_of(tensor.type, tensor.dims));
  if (auto ready = out.step(); !ready) return unexpected(std::move(ready.error()));
  return out;
}

G4_INLINE result<void> tensor_writer::check(const std::string& path, std::span<const tensor_plan> plan) {
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

G4_INLINE result<void> tensor_writer::step() {
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

}  // namespace g4::io
