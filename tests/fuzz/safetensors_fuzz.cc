// One safetensors file.
#include "g4/io/safetensors.h"
#include "tests/fuzz/read_all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = g4::io::read_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
  if (file) {
    g4::fuzz::read_all(*file);
  } else {
    g4::fuzz::expect(file.error().message.starts_with("fuzz: ") && file.error().message.size() < 4000 &&
                     file.error().message.find('\n') == std::string::npos);
  }
  return 0;
}
