// A sound file of any format.
#include <cmath>
#include <cstdint>
#include <span>

#include "examples/media/read_sound.h"
#include "tests/fuzz/read_all.h"

// libsndfile forgets what it took where the head of an Ogg file is damaged.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libsndfile\nleak:libvorbis\nleak:libogg\n"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto heard =
      media_files::read_sound(std::as_bytes(std::span(data, size)), "fuzz", 16'000, {.samples = 1u << 20});
  if (!heard) {
    g4::fuzz::expect(heard.error().message.starts_with("fuzz: ") && heard.error().message.size() < 4000);
    return 0;
  }
  g4::fuzz::expect(heard->rate == 16'000 && !heard->samples.empty() && heard->samples.size() <= 16u << 20);
  for (const float x : heard->samples) g4::fuzz::expect(std::isfinite(x));
  return 0;
}
