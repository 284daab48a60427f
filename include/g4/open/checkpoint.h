/// A checkpoint on disk, opened: what it says it is, its tensors, and its tokenizer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"
#include "g4/io/tensor_file.h"
#include "g4/load/config.h"
#include "g4/load/gguf_config.h"
#include "g4/load/match.h"
#include "g4/load/names.h"
#include "g4/load/tokenizer.h"
#include "g4/spec/text.h"
#include "g4/text/tokenizer.h"

namespace g4 {

/// What a file or folder holds. Nothing but its headers has been read.
struct checkpoint {
  std::string path;
  load::format format = load::format::gguf;
  text_spec spec;      ///< as the config.json or the GGUF keys say
  load::laxity unsaid;  ///< what this kind of file leaves unsaid
  io::tensor_file tensors;
  io::gguf_metadata keys;  ///< of a GGUF file; empty otherwise

  /// Reads the vocabulary. A folder needs a tokenizer.json for it.
  [[nodiscard]] result<text::tokenizer> tokenizer() const {
    return guarded([&]() -> result<text::tokenizer> {
      if (format == load::format::gguf) return load::tokenizer_from_gguf(keys, path);
      const std::string name = path + "/tokenizer.json";
      auto file = io::map_file(name);
      if (!file) return unexpected(std::move(file.error()));
      return load::tokenizer_from_json(io::text_of((*file)->bytes()), name);
    });
  }
};

namespace detail {

[[nodiscard]] inline result<checkpoint> read_checkpoint(const std::string& path) {
  checkpoint opened;
  opened.path = path;
  if (io::kind_of(path) == io::path_kind::folder) {
    opened.format = load::format::safetensors;
    while (opened.path.size() > 1 && opened.path.back() == '/') opened.path.pop_back();
    const std::string name = opened.path + "/config.json";
    auto config = io::map_file(name);
    if (!config) return unexpected(std::move(config.error()));
    auto spec = load::read_config(io::text_of((*config)->bytes()), name);
    if (!spec) return unexpected(std::move(spec.error()));
    opened.spec = *spec;
    // The text half of a model with images may be published alone: without images the two masks are the same.
    opened.unsaid.images = spec->sees == visibility::causal;
    auto tensors = io::open_safetensors(opened.path);
    if (!tensors) return unexpected(std::move(tensors.error()));
    opened.tensors = std::move(*tensors);
    return opened;
  }
  if (path.ends_with(".safetensors") || path.ends_with(".json")) {
    return fail(path, ": give the folder that holds it together with its config.json and tokenizer.json");
  }
  auto file = io::open_gguf(path);
  if (!file) return unexpected(std::move(file.error()));
  auto spec = load::read_config(*file);
  if (!spec) return unexpected(std::move(spec.error()));
  opened.spec = *spec;
  opened.unsaid = load::laxity_of(*file);
  opened.keys = std::move(file->metadata);
  opened.tensors = std::move(file->tensors);
  return opened;
}

}  // namespace detail

/// Opens a GGUF file, or a folder with config.json and safetensors.
/// Fails when there is neither, when a header is damaged, or when the configuration asks for what g4 does not know.
[[nodiscard]] inline result<checkpoint> open_checkpoint(const std::string& path) {
  return guarded([&] { return detail::read_checkpoint(path); });
}

}  // namespace g4
