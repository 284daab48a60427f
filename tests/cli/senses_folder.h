// A folder with a model that sees and hears, of tests/cli/data/senses.json with random weights, and an embedder.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "g4/io/safetensors_writer.h"
#include "g4/load/config.h"
#include "g4/model/multimodal.h"
#include "tests/support/marked_vocabulary.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/random_tower.h"

namespace g4::test {

// The towers of data/senses.json.
struct patches_of_senses
    : tower<picture::any_aspect{.side = 6}, patches{.side = 6}, norm::layer, embed::linear<width{16}, biased>,
            norm::layer, positions::per_axis{70}, norm::layer, into_text<norm::unweighted>> {};
struct frames_of_senses
    : tower<sound::waveform{.rate = 16'000}, frames{.samples = 10}, into_text<norm::unweighted>> {};

inline std::string letters_of_senses(std::size_t size) {
  std::vector<std::string> more{"W", "?", "\\n", "▁", "<", "|", ">"};
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (std::size_t b = 0; size >= 320 && b < 256; ++b) {  // a GGUF file's vocabulary needs them
    more.push_back(std::string("<0x") + digits[b / 16] + digits[b % 16] + ">");
  }
  return marked_vocabulary(
      {"<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|image>", "<|image|>",
       "<image|>", "<|audio>", "<|audio|>", "<audio|>", "<|tool_response>"},
      more, size);
}

/// Makes `folder`/model and `folder`/embedder; "", or why not.
inline std::string make_senses_folder(const std::filesystem::path& source, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  fs::create_directories(folder / "model");
  std::ifstream in(source / "tests/cli/data/senses.json", std::ios::binary);
  const std::string config{std::istreambuf_iterator<char>(in), {}};
  std::ofstream(folder / "model/config.json") << config;
  std::ofstream(folder / "model/tokenizer.json") << letters_of_senses(320);
  const auto spec = load::read_config(config, "senses.json");
  if (!spec) return spec.error().message;
  const random_checkpoint text(*spec, 6);  // says different things about different media
  const random_tower<patches_of_senses, 24> eyes(2);
  const random_tower<frames_of_senses, 24> ears(3);
  const io::tensor_file files[] = {text.file(), eyes.file(), ears.file()};
  std::vector<io::tensor_plan> plan;
  for (const auto& file : files) {
    for (const auto& t : file.tensors()) plan.push_back({t.name, t.type, t.dims});
  }
  auto out = io::write_safetensors((folder / "model/model.safetensors").string(), plan);
  if (!out) return out.error().message;
  for (const auto& file : files) {
    for (const auto& t : file.tensors()) {
      if (auto written = out->write(t.name, t.bytes); !written) return written.error().message;
    }
  }
  if (auto written = out->finish(); !written) return written.error().message;
  fs::copy(source / "conformance/cases/embeddinggemma", folder / "embedder", fs::copy_options::recursive);
  std::ofstream(folder / "embedder/tokenizer.json") << letters_of_senses(192);
  return "";
}

}  // namespace g4::test
