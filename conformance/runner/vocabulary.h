/// The tokenizer inside a GGUF file.
#pragma once

#include <string>

#include "g4/io/gguf.h"
#include "g4/load/tokenizer.h"

namespace g4::conformance {

[[nodiscard]] inline result<text::tokenizer> open_vocabulary(const std::string& model_file) {
  const auto file = io::open_gguf(model_file);
  if (!file) return unexpected(file.error());
  return load::tokenizer_from_gguf(file->metadata, model_file);
}

}  // namespace g4::conformance
