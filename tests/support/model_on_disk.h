/// A model of random weights and a vocabulary, for tests that open one; and what is said of its rows.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "g4/model/text/inlay.h"
#include "g4/open/checkpoint.h"
#include "tests/support/own_path.h"
#include "tests/support/random_checkpoint.h"

namespace g4::test {

/// A checkpoint of V, as if it had been opened, in a folder of its own.
template <class V>
struct on_disk {
  explicit on_disk(unsigned seed = 1) : weights(V::spec, seed), folder(own_path("g4_ranks")) {
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(std::filesystem::path(G4_SOURCE_DIR) / "tests/text/data/small.json", folder / "tokenizer.json",
                               std::filesystem::copy_options::overwrite_existing);
    from.path = folder.string();
    from.format = load::format::safetensors;
    from.spec = V::spec;
    from.tensors = weights.file();
  }
  on_disk(const on_disk&) = delete;
  on_disk& operator=(const on_disk&) = delete;
  ~on_disk() { std::filesystem::remove_all(folder); }
  random_checkpoint weights;
  std::filesystem::path folder;
  checkpoint from;
};

using all_rows = std::vector<std::vector<float>>;

template <class Row>
std::vector<float> floats(const Row& row) {
  return {row.begin(), row.end()};
}
/// The logits behind a prompt.
template <class S>
std::vector<float> last_of(S& text, const prompt_view<float>& prompt) {
  const auto row = text.run(prompt);
  EXPECT_TRUE(row) << (row ? "" : row.error().message);
  return row ? floats(*row) : std::vector<float>();
}

}  // namespace g4::test
