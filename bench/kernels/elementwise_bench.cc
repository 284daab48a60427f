// Norms, the gate's nonlinearity and rotary embedding: bytes per second, read and written.
#include "bench/kernels/kernels_bench.h"

#include "g4/ops/gate.h"

namespace g4::bench {
namespace {

constexpr std::size_t tokens = 64;

void rms_norm(benchmark::State& state) {
  const auto width = static_cast<std::size_t>(state.range(0));
  const std::vector<float> x = random_floats(tokens * width), scale = random_floats(width);
  std::vector<float> y(x.size());
  backend::cpu on;
  for (auto _ : state) {
    on.rms_norm(x.data(), scale.data(), tokens, width, 1e-6f, y.data());
    benchmark::DoNotOptimize(y.data());
  }
  report(state, static_cast<double>(8 * x.size()), static_cast<double>(4 * x.size()), one_thread_limits().f32);
}

void gelu_gate(benchmark::State& state, bool definition) {
  const auto n = tokens * static_cast<std::size_t>(state.range(0));
  const std::vector<float> start = random_floats(n), up = random_floats(n);
  std::vector<float> gate(n);
  backend::cpu on;
  for (auto _ : state) {
    std::copy(start.begin(), start.end(), gate.begin());
    if (definition) {
      ops::gate([](float v) { return ops::gelu_tanh(v); }, gate.data(), up.data(), n);
    } else {
      on.gelu_gate(gate.data(), up.data(), n);
    }
    benchmark::DoNotOptimize(gate.data());
  }
  report(state, static_cast<double>(12 * n), static_cast<double>(30 * n), one_thread_limits().f32);
}

void rope(benchmark::State& state) {
  const auto d = static_cast<std::size_t>(state.range(0));
  std::vector<float> x = random_floats(tokens * 4 * d);
  const std::vector<float> cos(tokens * d / 2, 0.8f), sin(tokens * d / 2, 0.6f);
  backend::cpu on;
  for (auto _ : state) {
    on.rope(x.data(), tokens, 4, d, cos.data(), sin.data());
    benchmark::DoNotOptimize(x.data());
  }
  report(state, static_cast<double>(8 * x.size()), static_cast<double>(3 * x.size()), one_thread_limits().f32);
}

BENCHMARK(rms_norm)->Arg(640)->Arg(1536)->Arg(2816);
BENCHMARK_CAPTURE(gelu_gate, v1_definition, true)->Arg(2048);
BENCHMARK_CAPTURE(gelu_gate, v2, false)->Arg(2048)->Arg(6144);
BENCHMARK(rope)->Arg(256)->Arg(512);

}  // namespace
}  // namespace g4::bench
