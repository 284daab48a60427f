// What the tests of this room share: their data, and the same small vocabulary out of three kinds of file.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "g4/io/gguf.h"
#include "g4/load/tokenizer.h"
#include "g4/text/tokenizer.h"
#include "g4/text/tokenizer_builder.h"

namespace g4::test {

inline std::string data_path(const std::string& name) { return G4_SOURCE_DIR "/tests/text/data/" + name; }

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline nlohmann::json read_cases(const std::string& name) { return nlohmann::json::parse(read_text(data_path(name))); }

inline result<text::tokenizer> open_tokenizer(const std::string& path) {
  if (path.ends_with(".json")) return load::tokenizer_from_json(read_text(path), path);
  auto file = io::open_gguf(path);
  if (!file) return unexpected(file.error());
  return load::tokenizer_from_gguf(file->metadata, path);
}

// The real vocabulary is in the real model's file, which is not in the repository.
inline std::string real_model_path() {
  const char* path = std::getenv("G4_MODEL_270M");
  return path == nullptr ? std::string() : std::string(path);
}

inline std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// 256 byte pieces at the front of a vocabulary.
inline void add_byte_pieces(text::tokenizer_builder& builder, std::size_t first_id = 0) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    builder.piece(first_id + byte, name, text::piece_kind::byte);
  }
}

}  // namespace g4::test
