// Which file beside a model holds its towers.
#include "g4/open/towers_beside.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/own_path.h"

namespace g4 {
namespace {

/// What is found beside model.gguf among these files, by its name alone.
std::string found(const std::string& model, const std::vector<std::string>& files) {
  namespace fs = std::filesystem;
  const fs::path folder = test::own_path("g4_towers_beside");
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const std::string& name : files) std::ofstream(folder / name) << "x";
  const auto path = towers_beside((folder / model).string());
  fs::remove_all(folder);
  if (!path) return path.error().message.substr(folder.string().size() + 1);
  return path->empty() ? "none" : fs::path(*path).filename().string();
}

TEST(towers_beside, as_they_are_usually_named) {
  EXPECT_EQ(found("gemma-3-4b-it-Q4_K_M.gguf", {"mmproj-model-f16.gguf", "gemma-3-4b-it-Q4_K_M.gguf"}),
            "mmproj-model-f16.gguf");
  EXPECT_EQ(found("gemma-4-e2b.gguf", {"gemma-4-e2b-mmproj-BF16.GGUF", "notes.txt"}), "gemma-4-e2b-mmproj-BF16.GGUF");
  EXPECT_EQ(found("model.gguf", {"MMPROJ-F16.gguf"}), "MMPROJ-F16.gguf");
  EXPECT_EQ(found("model.gguf", {"other.gguf", "mmproj.txt"}), "none");
  EXPECT_EQ(found("nowhere/model.gguf", {}), "none");
}

TEST(towers_beside, of_several_the_model_s_own) {
  EXPECT_EQ(found("gemma-3-4b-it.gguf", {"mmproj-gemma-3-12b-it-f16.gguf", "mmproj-gemma-3-4b-it-f16.gguf"}),
            "mmproj-gemma-3-4b-it-f16.gguf");
  const std::string both = found("model.gguf", {"mmproj-F16.gguf", "mmproj-BF16.gguf"});
  EXPECT_EQ(both.find("model.gguf: which of the files beside it holds its towers? "), 0u) << both;
  EXPECT_NE(both.find("mmproj-BF16.gguf and "), std::string::npos) << both;
}

}  // namespace
}  // namespace g4
