// Configurations that the tests of this room read: tests/load/data/{released,small}/*.json.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "g4/load/config.h"

namespace g4::load {

inline std::string file_text(const std::string& path) {
  std::ifstream in(std::string(G4_SOURCE_DIR) + "/" + path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline result<text_spec> read_file(const std::string& path) { return read_config(file_text(path), path); }

inline result<text_spec> released(const std::string& name) {
  return read_file("tests/load/data/released/" + name + ".json");
}
inline result<text_spec> small(const std::string& name) {
  return read_file("tests/load/data/small/" + name + ".json");
}

/// The text with one piece replaced; the piece must be there.
inline std::string with(std::string text, const std::string& piece, const std::string& other) {
  const auto at = text.find(piece);
  EXPECT_NE(at, std::string::npos) << piece;
  return at == std::string::npos ? text : text.replace(at, piece.size(), other);
}

}  // namespace g4::load
