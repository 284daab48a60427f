// Attention at the head sizes and groups of released models: one token over a cache of so many keys, and a prompt of 512.
// Contexts on either side of 512 and 1024 show whether the cost has a step there.
#include <memory>

#include "bench/kernels/kernels_bench.h"
#include "g4/ops/attend.h"

namespace g4::bench {
namespace {

struct heads {
  const char* name;
  std::size_t d, query, key_value;
};

constexpr heads shapes[] = {{"gemma3_270m", 256, 4, 1},
                            {"gemma4_e2b.local", 256, 8, 1},
                            {"gemma4_e2b.global", 512, 8, 1},
                            {"gemma4_26b_a4b.local", 256, 16, 8}};

/// The version ladder: the definition, float32 kernels, 16-bit kernels.
enum class version { definition, f32, i16 };

/// Layers whose caches are read in turn: of one token's, so that they come from memory as they do between the weights
/// of a model; of a prompt's, one.
struct layers {
  std::size_t half, count;
  std::vector<std::byte> memory;
  std::vector<cache_view> cache;

  layers(const heads& h, std::size_t slots, storage type, std::size_t least_bytes)
      : half(cached_bytes(type, h.key_value, slots, h.d)),
        count(std::max<std::size_t>(1, least_bytes / (2 * half))),
        memory(count * 2 * half) {
    for (std::size_t i = 0; i < count; ++i) {
      std::byte* at = memory.data() + 2 * i * half;
      cache.push_back({at, at + half, slots, h.key_value, h.d, type});
    }
  }
};

void attend(benchmark::State& state, const heads& h, std::size_t tokens, std::size_t before, version v) {
  const std::size_t slots = before + tokens;
  const storage type = v == version::i16 ? storage::i16 : storage::f32;
  layers all(h, slots, type, tokens == 1 ? std::size_t{96} << 20 : 0);
  const std::vector<float> rows = random_floats(h.key_value * slots * h.d);
  const std::vector<float> query = random_floats(tokens * h.query * h.d);
  std::vector<float> out(query.size()), scores;
  std::vector<key_range> seen;
  double pairs = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    seen.push_back({position{0}, position{static_cast<std::int64_t>(before + t + 1)}});
    pairs += static_cast<double>(before + t + 1);
  }
  const attention_call<float> call{query.data(), seen.data(), out.data(), tokens, h.query, 0.0625f, 0.0f};
  backend::cpu on({v == version::i16 ? backend::numeric::fast : backend::numeric::exact, nullptr});
  for (const cache_view& cache : all.cache) on.store(cache, rows.data(), rows.data(), slots, position{0});
  std::size_t layer = 0;
  for (auto _ : state) {
    if (v == version::definition) {
      ops::attend(all.cache[layer], call, scores);
    } else {
      on.attend(all.cache[layer], call);
    }
    layer = (layer + 1) % all.count;
    benchmark::DoNotOptimize(out.data());
  }
  report(state, static_cast<double>(2 * all.half), 4.0 * pairs * static_cast<double>(h.query * h.d),
         v == version::i16 ? one_thread_limits().int16 : one_thread_limits().f32);
}

const bool registered = [] {
  constexpr std::pair<version, const char*> ladder[] = {
      {version::definition, "/v1_definition"}, {version::f32, "/v2_f32"}, {version::i16, "/v3_i16"}};
  for (const heads& h : shapes) {
    for (const auto& [v, name] : ladder) {
      const auto add = [&, v = v, suffix = name](const std::string& what, std::size_t tokens, std::size_t before) {
        benchmark::RegisterBenchmark((h.name + what + suffix).c_str(), attend, h, tokens, before, v);
      };
      for (const std::size_t keys : {256, 511, 512, 513, 1023, 1024, 1025, 2048, 4096}) {
        if (v == version::definition && keys != 1024) continue;
        add("/decode_" + std::to_string(keys), 1, keys - 1);
      }
      add("/prefill_512", 512, 0);
      if (v != version::definition) add("/prefill_256_after_3840", 256, 3840);
    }
  }
  return true;
}();

}  // namespace
}  // namespace g4::bench
