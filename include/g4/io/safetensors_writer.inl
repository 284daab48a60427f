/// safetensors_writer.h, defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "g4/io/json.h"
#include "g4/io/safetensors.h"
#include "g4/io/safetensors_writer.h"

namespace g4::io {

G4_INLINE result<tensor_writer> write_safetensors(const std::string& path, std::span<const tensor_plan> plan,
                                                  std::span<const std::pair<std::string, std::string>> metadata) {
  if (auto checked = tensor_writer::check(path, plan); !checked) return unexpected(std::move(checked.error()));
  std::string header = "{";
  const auto separate = [&header] {
    if (header.size() > 1) header += ',';
  };
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (std::size_t i = 0; i < metadata.size(); ++i) {
      header += (i > 0 ? "," : "") + json_quoted(metadata[i].first) + ":" + json_quoted(metadata[i].second);
    }
    header += '}';
  }
  std::size_t at = 0;
  for (const tensor_plan& tensor : plan) {
    if (tensor.name == "__metadata__") return fail(path, ": no tensor can be called \"__metadata__\"");
    if (!safetensors_type(tensor.type.name)) {
      return fail(path, ": ", tensor.name, " is to be ", std::string(tensor.type.name),
                  ", for which safetensors has no dtype");
    }
    const std::size_t bytes = *bytes_of(tensor.type, tensor.dims);
    if (bytes > SIZE_MAX - at) return fail(path, ": is to be larger than any file");
    separate();
    header += json_quoted(tensor.name) + ":{\"dtype\":" + json_quoted(tensor.type.name) + ",\"shape\":[";
    for (std::size_t d = 0; d < tensor.dims.rank(); ++d) header += (d > 0 ? "," : "") + std::to_string(tensor.dims[d]);
    header += "],\"data_offsets\":[";
    header += std::to_string(at);  // in one sentence g++ 12 fears that the pieces overlap
    header += ',';
    header += std::to_string(at + bytes);
    header += "]}";
    at += bytes;
  }
  header += '}';
  // Spaces, so that the data begins at a multiple of eight bytes.
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::uint64_t length = header.size();
  std::string head(sizeof length, '\0');
  std::memcpy(head.data(), &length, sizeof length);
  return tensor_writer::start(path, head + header, plan, 1);
}

}  // namespace g4::io
