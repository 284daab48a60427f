/// What the kernel benchmarks share: shapes of real models, random weights, and rates against the machine's limits.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "g4/backend/cpu.h"
#include "g4/core/small_float.h"

namespace g4::bench {

/// A weight of a released model, as its GGUF file stores it.
struct real_shape {
  const char* name;
  storage type;
  std::size_t rows;
  std::size_t columns;
};

inline constexpr real_shape real_shapes[] = {
    {"gemma3_270m.head", storage::q8_0, 262144, 640},
    {"gemma3_270m.query", storage::q5_0, 1024, 640},
    {"gemma3_270m.gate", storage::q5_0, 2048, 640},
    {"gemma3_270m.output", storage::q4_k, 640, 1024},
    {"gemma3_270m.down_q6", storage::q6_k, 640, 2048},
    {"gemma3_270m.down_q4", storage::q4_k, 640, 2048},
    {"gemma4_e2b.gate_q4_0", storage::q4_0, 6144, 1536},
    {"gemma4_e2b.down_q4_0", storage::q4_0, 1536, 6144},
    {"gemma4_e2b.wide_gate_q4_k", storage::q4_k, 12288, 1536},
    {"gemma4_e2b.wide_down_q4_k", storage::q4_k, 1536, 12288},
    {"gemma4_e2b.gate_bf16", storage::bf16, 6144, 1536},
    {"gemma4_e2b.gate_q4_k", storage::q4_k, 6144, 1536},
    {"gemma4_e2b.gate_q8_0", storage::q8_0, 6144, 1536},
    {"gemma4_e2b.gate_q6_k", storage::q6_k, 6144, 1536},
    {"gemma4_e2b.gate_q5_k", storage::q5_k, 6144, 1536},
    {"gemma4_e2b.gate_q5_0", storage::q5_0, 6144, 1536},
    {"gemma4_e2b.gate_q2_k", storage::q2_k, 6144, 1536},
    {"gemma4_e2b.gate_q3_k", storage::q3_k, 6144, 1536},
    {"gemma4_e2b.gate_iq4_nl", storage::iq4_nl, 6144, 1536},
    {"gemma4_e2b.gate_iq4_xs", storage::iq4_xs, 6144, 1536},
    {"gemma4_e2b.gate_mxfp4", storage::mxfp4, 6144, 1536},
};

inline std::vector<float> random_floats(std::size_t n) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& v : out) v = normal(random);
  return out;
}

/// Random levels with small, finite scales. Every half float of a block is made a small number, which is more than
/// needed and harmless.
inline std::vector<std::byte> random_weights(storage s, std::size_t rows, std::size_t columns) {
  std::mt19937 random(8);
  std::vector<std::byte> out(rows * row_bytes(s, columns));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(random());
  const storage_facts f = facts_of(s);
  const std::uint16_t d = s == storage::bf16 ? bf16_from_float(0.01f) : f16_from_float(0.01f);
  for (std::size_t at = 0; at < out.size(); at += f.block_bytes) {
    const std::size_t where = s == storage::q6_k ? 208 : s == storage::q3_k ? 108 : s == storage::q2_k ? 80 : 0;
    if (s == storage::mxfp4) {
      out[at] = std::byte{121};  // 2^-6
    } else if (s != storage::f32) {
      std::memcpy(out.data() + at + where, &d, 2);
    }
    if (s == storage::q4_k || s == storage::q5_k || s == storage::q4_1 || s == storage::q5_1 || s == storage::q2_k) {
      std::memcpy(out.data() + at + where + 2, &d, 2);
    }
  }
  return out;
}

/// Rates beside the machine's one-thread limits. `bytes` and `operations` are of one iteration.
inline void report(benchmark::State& state, double bytes, double operations, double operations_limit) {
  const auto n = static_cast<double>(state.iterations());
  using counter = benchmark::Counter;
  state.counters["GB/s"] = counter(bytes * n * 1e-9, counter::kIsRate);
  state.counters["Gop/s"] = counter(operations * n * 1e-9, counter::kIsRate);
  state.counters["of_read"] = counter(bytes * n * 1e-9 / one_thread_limits().read, counter::kIsRate);
  state.counters["of_peak"] = counter(operations * n * 1e-9 / operations_limit, counter::kIsRate);
}

}  // namespace g4::bench
