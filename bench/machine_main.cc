// bench/machine_main.cc: prints what this machine can do at most, for one thread and for several.
//
//     g4_machine [threads]...        1 and 2 unless told
#include <cstdio>
#include <cstdlib>

#include "bench/machine.h"
#include "kernels/cpu/amx.h"

int main(int count, char** words) {
  std::printf(
      "SIMD target %s%s\n\n| threads | read GB/s | f32 Gop/s | bf16 | int16 | int8 |\n|---|---|---|---|---|---|\n",
      g4::bench::simd_target(), g4::cpu::amx_is_usable() ? ", AMX tiles" : "");
  const char* usual[] = {"1", "2"};
  const int n = count > 1 ? count - 1 : 2;
  for (int i = 0; i < n; ++i) {
    const char* word = count > 1 ? words[i + 1] : usual[i];
    const long threads = std::strtol(word, nullptr, 10);
    if (threads < 1 || threads > 1024) {
      std::fprintf(stderr, "g4_machine: '%s' is not a number of threads from 1 to 1024\n", word);
      return 1;
    }
    const g4::bench::machine_limits m = g4::bench::measure_limits(static_cast<std::size_t>(threads));
    std::printf("| %ld | %.1f | %.0f | %.0f | %.0f | %.0f |\n", threads, m.read, m.f32, m.bf16, m.int16, m.int8);
  }
  return 0;
}
