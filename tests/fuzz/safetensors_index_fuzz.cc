// The index of a checkpoint in several files: what it says, without opening what it names.
#include "g4/io/safetensors.h"
#include "tests/fuzz/read_all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  g4::io::detail::index_reader index;
  const auto text = g4::io::text_of(std::as_bytes(std::span(data, size)));
  const auto read = g4::io::read_json(text, "fuzz", {.bytes = 100'000'000, .depth = 16, .token = 1u << 20}, index);
  if (!read) return 0;
  for (const auto& entry : index.entries) {
    g4::fuzz::expect(g4::io::is_tensor_name(entry.tensor) && entry.shard < index.shards.size());
  }
  for (const std::string& shard : index.shards) {
    g4::fuzz::expect(!shard.empty() && shard != ".." && shard.find('/') == std::string::npos);
  }
  return 0;
}
