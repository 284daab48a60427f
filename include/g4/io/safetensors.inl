/// safetensors.h, defined.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "g4/io/safetensors.h"
#include "g4/io/safetensors_header.inl"
#include "g4/io/safetensors_index.inl"

namespace g4::io {

G4_INLINE result<tensor_file> read_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  auto tensors = detail::read_safetensors_entries(bytes, name, 0);
  if (!tensors) return unexpected(std::move(tensors.error()));
  return tensor_file::make(name, std::move(*tensors), {});
}

G4_INLINE result<tensor_file> open_safetensors(const std::string& path) {
  if (kind_of(path) == path_kind::folder) {
    const std::string stem = path + (path.ends_with('/') ? "" : "/") + "model.safetensors";
    if (kind_of(stem) == path_kind::file) return open_safetensors(stem);
    if (kind_of(stem + ".index.json") == path_kind::file) return open_safetensors(stem + ".index.json");
    return fail(path, ": holds neither model.safetensors nor model.safetensors.index.json");
  }
  if (path.ends_with(".json")) return detail::open_index(path);
  auto file = map_file(path);
  if (!file) return unexpected(std::move(file.error()));
  auto tensors = detail::read_safetensors_entries((*file)->bytes(), path, 0);
  if (!tensors) return unexpected(std::move(tensors.error()));
  std::vector<std::shared_ptr<const mapped_file>> files;
  files.push_back(std::move(*file));
  return tensor_file::make(path, std::move(*tensors), std::move(files));
}

}  // namespace g4::io
