// The matmul's ladder: its definition, weights as stored with float32 arithmetic, and weights in panels with 16-bit
// activations; for one token from memory (decode) and for 512 (prefill), there with 8-bit activations too. Between them, in
// panels: what a step of so many texts multiplies, from memory.
#include "bench/kernels/kernels_bench.h"

#include "g4/ops/matmul.h"

namespace g4::bench {
namespace {

enum class step { definition, exact, fast, fast8 };

void matmul(benchmark::State& state, const real_shape& shape, step which, std::size_t tokens) {
  const std::vector<std::byte> bytes = random_weights(shape.type, shape.rows, shape.columns);
  // But for a prompt, as many copies as it takes to come from memory every time.
  const std::size_t copies = tokens >= 512 ? 1 : std::max<std::size_t>(1, (std::size_t{192} << 20) / bytes.size());
  using enum backend::numeric;
  const bool rounds = which == step::fast || which == step::fast8;
  backend::cpu on({!rounds ? exact : which == step::fast ? fast : fast8, nullptr, backend::weights_move::at_load});
  panel_store store;
  const bool moved = rounds && cpu::has_panels(shape.type);  // plain floats stay where they are
  std::vector<std::vector<std::byte>> stored(moved ? 0 : copies, bytes);
  std::vector<weight_view> weights;
  for (std::size_t i = 0; i < copies; ++i) {
    const matrix_view w{moved ? bytes.data() : stored[i].data(), shape.rows, shape.columns, shape.type};
    const auto prepared = on.prepare(w, store);
    if (!prepared) return state.SkipWithError(prepared.error().message.c_str());
    weights.push_back(*prepared);
  }
  const std::vector<float> x = random_floats(tokens * shape.columns);
  std::vector<float> y(tokens * shape.rows), panel;
  std::size_t i = 0;
  for (auto _ : state) {
    const weight_view& w = weights[i++ % copies];
    if (which == step::definition) {
      ops::matmul(w, x.data(), tokens, y.data(), panel);
    } else {
      on.matmul(w, x.data(), tokens, y.data());
    }
    benchmark::DoNotOptimize(y.data());
  }
  report(state, static_cast<double>(bytes.size()), 2.0 * static_cast<double>(shape.rows * shape.columns * tokens),
         rounds ? one_thread_limits().int16 : one_thread_limits().f32);
}

const bool registered = [] {
  for (const real_shape& shape : real_shapes) {
    for (const std::size_t tokens :
         {std::size_t{1}, std::size_t{4}, std::size_t{8}, std::size_t{16}, std::size_t{31}, std::size_t{512}}) {
      if (tokens == 512 && shape.rows > 100'000) continue;  // a prompt needs one row of logits
      const bool texts = tokens > 1 && tokens < 512;
      const std::string name = std::string(shape.name) + (texts         ? "/texts_" + std::to_string(tokens) + "/"
                                                          : tokens == 1 ? "/decode/"
                                                                        : "/prefill/");
      const auto add = [&](const char* rung, step which) {
        benchmark::RegisterBenchmark((name + rung).c_str(), matmul, shape, which, tokens);
      };
      if (!texts && shape.rows <= 2048) add("v1_definition", step::definition);
      if (!texts) add("v2_exact", step::exact);
      add("v3_fast", step::fast);
      if (tokens > 1 && cpu::has_panels(shape.type)) add("v4_fast8", step::fast8);
    }
  }
  return true;
}();

}  // namespace
}  // namespace g4::bench
