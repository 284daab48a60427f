// Attention at the head sizes and groups of released models: one token over a long cache, and a prompt of 512.
#include "bench/kernels/kernels_bench.h"

#include "g4/ops/attend.h"

namespace g4::bench {
namespace {

struct heads {
  const char* name;
  std::size_t d, query, key_value;
};

constexpr heads shapes[] = {{"gemma3_270m", 256, 4, 1}, {"gemma4_e2b.local", 256, 8, 1}, {"gemma4_e2b.global", 512, 8, 1},
                            {"gemma4_26b_a4b.local", 256, 16, 8}};

void attend(benchmark::State& state, const heads& h, std::size_t tokens, std::size_t before, bool definition) {
  const std::size_t slots = before + tokens;
  std::vector<float> keys = random_floats(h.key_value * slots * h.d), values = keys;
  const std::vector<float> query = random_floats(tokens * h.query * h.d);
  std::vector<float> out(query.size()), scores;
  std::vector<key_range> seen;
  double pairs = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    seen.push_back({position{0}, position{static_cast<std::int64_t>(before + t + 1)}});
    pairs += static_cast<double>(before + t + 1);
  }
  const cache_view cache{reinterpret_cast<std::byte*>(keys.data()), reinterpret_cast<std::byte*>(values.data()), slots,
                         h.key_value, h.d, storage::f32};
  const attention_call<float> call{query.data(), seen.data(), out.data(), tokens, h.query, 0.0625f, 0.0f};
  backend::cpu on;
  for (auto _ : state) {
    if (definition) {
      ops::attend(cache, call, scores);
    } else {
      on.attend(cache, call);
    }
    benchmark::DoNotOptimize(out.data());
  }
  report(state, static_cast<double>(2 * sizeof(float) * keys.size()),
         4.0 * pairs * static_cast<double>(h.query * h.d), one_thread_limits().f32);
}

const bool registered = [] {
  for (const heads& h : shapes) {
    const std::string name = h.name;
    benchmark::RegisterBenchmark((name + "/decode_1024/v1_definition").c_str(), attend, h, 1, 1023, true);
    benchmark::RegisterBenchmark((name + "/decode_1024/v2").c_str(), attend, h, 1, 1023, false);
    benchmark::RegisterBenchmark((name + "/prefill_512/v1_definition").c_str(), attend, h, 512, 0, true);
    benchmark::RegisterBenchmark((name + "/prefill_512/v2").c_str(), attend, h, 512, 0, false);
  }
  return true;
}();

}  // namespace
}  // namespace g4::bench
