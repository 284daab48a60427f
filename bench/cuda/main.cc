// What bench/cuda/run asks of a GPU; each prints a line of JSON per figure.
//
//   g4_bench_cuda limits                     memory's bandwidth, and what a launch costs
//   g4_bench_cuda kernels VARIANT FORMAT     every product of a decoding step by itself
//   g4_bench_cuda model VARIANT FILE [CONTEXT…]   decoding and prompts of a checkpoint
//
// Built for a GPU, or, as g4_bench_cuda_on_host, for the machine that kernels are proven on: there all shapes are tiny and
// no figure means anything.
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/cuda/bench.h"
#include "bench/cuda/limits.h"
#include "g4/core/result.h"

namespace {

using namespace g4::bench_cuda;
using g4::result;

// ---- The card --------------------------------------------------------------------------------------------------------

result<void> limits(bench_backend& on) {
  const std::size_t bytes = tiny ? 1 << 12 : std::size_t{2} << 30;
  auto from = on.take(bytes), to = on.take(bytes);
  if (!from || !to) return g4::fail("there is no memory for ", 2 * bytes, " bytes");
  auto* const numbers = reinterpret_cast<float*>(from->data());
  on.fill(numbers, bytes / 4, 1.0f);
  for (const unsigned blocks : tiny ? std::vector<unsigned>{2} : std::vector<unsigned>{264, 528, 1056, 2112}) {
    const auto took = seconds_of(on, [&] {
      g4::G4_BENCH_SPACE::read_memory(on.device(), from->data(), bytes, blocks,
                                      reinterpret_cast<unsigned*>(to->data()));
    });
    if (!took) return g4::unexpected(took.error());
    tell("read", std::to_string(blocks) + " blocks", {{"bytes", static_cast<double>(bytes)}, {"seconds", *took}});
  }
  const auto copied = seconds_of(on, [&] { on.copy(from->data(), bytes, to->data()); });
  if (!copied) return g4::unexpected(copied.error());
  tell("copy", "copy", {{"bytes", 2.0 * static_cast<double>(bytes)}, {"seconds", *copied}});

  return {};
}

/// A hundred kernels that do next to nothing, each asked for and all of them recorded.
result<void> launches(bench_backend& on, const std::string& how) {
  auto room = on.take(sizeof(float));
  if (!room) return g4::unexpected(room.error());
  auto* const number = reinterpret_cast<float*>(room->data());
  on.fill(number, 1, 1.0f);
  const auto hundred = [&] {
    for (int i = 0; i < 100; ++i) on.scale(number, 1, 1.0f);
  };
  const auto asked = seconds_of(on, hundred);
  if (!asked) return g4::unexpected(asked.error());
  tell("launch", "100 kernels asked for" + how, {{"kernels", 100}, {"seconds", *asked}});
  const auto steps = on.record(hundred);
  const auto replayed = seconds_of(on, [&] { on.replay(steps); });
  if (!replayed) return g4::unexpected(replayed.error());
  tell("launch", "100 kernels replayed" + how, {{"kernels", 100}, {"seconds", *replayed}});
  return {};
}

const measured_variant* variant_named(std::string_view name) {
  for (const measured_variant& one : all_measured()) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

result<bench_backend> open(const g4::gpu_options& choice) {
#ifdef G4_BENCH_ON_HOST
  return result<bench_backend>(choice);
#else
  return bench_backend::open(choice);
#endif
}

result<void> run(const std::vector<std::string>& words) {
  auto opened = open({.mode = g4::backend::numeric::fast});
  if (!opened) return g4::unexpected(opened.error());
  bench_backend& on = *opened;
  if (words.size() == 1 && words[0] == "limits") {
    if (auto done = limits(on); !done) return done;
    if (auto done = launches(on, ""); !done) return done;
    auto in_turn = open({.mode = g4::backend::numeric::fast, .dependent_launch = false});
    if (!in_turn) return g4::unexpected(in_turn.error());
    return launches(*in_turn, ", each when the one in front has ended");
  }
  const measured_variant* const of = words.size() >= 3 ? variant_named(words[1]) : nullptr;
  if (words.size() >= 3 && of == nullptr) return g4::fail("there is no variant ", words[1]);
  if (words.size() == 3 && words[0] == "kernels") return of->kernels(on, words[2]);
  if (words.size() >= 3 && words[0] == "model") {
    std::vector<std::size_t> contexts;
    for (std::size_t i = 3; i < words.size(); ++i) contexts.push_back(std::stoul(words[i]));
    if (contexts.empty()) contexts.push_back(0);
    return of->model(on, words[2], contexts);
  }
  return g4::fail("g4_bench_cuda limits | kernels VARIANT FORMAT | model VARIANT FILE [CONTEXT…]");
}

}  // namespace

int main(int argc, char** argv) {
  const auto done = run({argv + 1, argv + argc});
  if (!done) std::fprintf(stderr, "g4_bench_cuda: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
