#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"
#include "g4/load/config.h"
#include "g4/load/gguf_config.h"
#include "g4/load/tokenizer.h"
#include "g4/open/checkpoint.h"

namespace g4 {

G4_INLINE result<text::tokenizer> checkpoint::tokenizer() const {
  return guarded([&]() -> result<text::tokenizer> {
    if (format == load::format::gguf) return load::tokenizer_from_gguf(keys, path);
    const std::string name = path + "/tokenizer.json";
    auto file = io::map_file(name);
    if (!file) return unexpected(std::move(file.error()));
    return load::tokenizer_from_json(io::text_of((*file)->bytes()), name);
  });
}

G4_INLINE result<std::shared_ptr<const text::tokenizer>> checkpoint::shared_tokenizer() const {
  return guarded([&]() -> result<std::shared_ptr<const text::tokenizer>> {
    auto made = tokenizer();
    if (!made) return unexpected(std::move(made.error()));
    return std::make_shared<const text::tokenizer>(std::move(*made));
  });
}

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

G4_INLINE result<checkpoint> open_checkpoint(const std::string& path) {
  return guarded([&] { return detail::read_checkpoint(path); });
}

G4_INLINE error not_the_variant(const checkpoint& from, std::string_view name,
                                const std::vector<std::string>& lines) {
  std::string message = from.path + ": is not " + std::string(name);
  const char* separator = ": ";
  for (const std::string& line : lines) {
    message += separator + line;
    separator = "; ";
  }
  return {message};
}

G4_INLINE result<void> check_variant(const checkpoint& from, const text_spec& variant, std::string_view name) {
  const auto lines = load::differences(from.spec, variant, name, from.unsaid);
  if (!lines.empty()) return unexpected(not_the_variant(from, name, lines));
  return {};
}

}  // namespace g4
