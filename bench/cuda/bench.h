/// What the parts of g4_bench_cuda share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/cuda/limits.h"
#include "g4/core/result.h"

namespace g4::bench_cuda {

using bench_backend = g4::backend::G4_BENCH_SPACE;
#ifdef G4_BENCH_ON_HOST
constexpr bool tiny = true;
#else
constexpr bool tiny = false;
#endif

/// Seconds of body(), as often as it takes for a tenth of a second, behind one run that warms it up.
template <class Body>
result<double> seconds_of(bench_backend& on, Body&& body) {
  body();
  if (auto sound = on.failure(); !sound) return g4::unexpected(sound.error());  // it waits
  for (std::size_t times = 1;; times *= 4) {
    const auto begun = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < times; ++i) body();
    if (auto sound = on.failure(); !sound) return g4::unexpected(sound.error());
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    if (took > 0.1 || tiny) return took / static_cast<double>(times);
  }
}

/// A line: {"what": …, "name": …, and numbers}.
inline void tell(const char* what, const std::string& name,
                 std::initializer_list<std::pair<const char*, double>> numbers) {
  std::printf("{\"what\": \"%s\", \"name\": \"%s\"", what, name.c_str());
  for (const auto& [key, value] : numbers) std::printf(", \"%s\": %.9g", key, value);
  std::printf("}\n");
  std::fflush(stdout);
}

/// A variant's measurements, each compiled in a file of its own (`model.cc`).
struct measured_variant {
  std::string_view name;
  result<void> (*kernels)(bench_backend& on, std::string_view format);
  result<void> (*model)(bench_backend& on, const std::string& path, const std::vector<std::size_t>& contexts);
};
inline std::vector<measured_variant>& all_measured() {
  static std::vector<measured_variant> all;
  return all;
}

}  // namespace g4::bench_cuda
