// A picture file of any format.
#include <cstdint>
#include <span>

#include "examples/media/read_picture.h"
#include "tests/fuzz/read_all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto seen = media_files::read_picture(std::as_bytes(std::span(data, size)), "fuzz", {.pixels = 1u << 20});
  if (!seen) {
    g4::fuzz::expect(seen.error().message.starts_with("fuzz: ") && seen.error().message.size() < 4000);
    return 0;
  }
  g4::fuzz::expect(seen->view().is_whole() && seen->height * seen->width <= 1u << 20);
  return 0;
}
