/// Operations whose threads wait for each other, as `bench` runs them: for the kernels' tests and for those that plant
/// defects in kernels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "g4/core/small_float.h"
#include "tests/cuda/on_both.h"

namespace g4::test {

/// Rows of two texts through a ring of a cache, with more keys than four warps take at a time.
template <class Bench>
void attend(Bench& b, storage type, float cap) {
  constexpr std::size_t slots = 150, K = 2, H = 4, d = 64, T = 160;
  std::vector<cache_view> caches;
  for (int text = 0; text < 2; ++text) {
    const std::size_t bytes = cached_bytes(type, K, slots, d);
    caches.push_back({b.template room<std::byte>(bytes), b.template room<std::byte>(bytes), slots, K, d, type});
  }
  const cache_view* const of_texts[] = {&caches[0], &caches[1]};
  std::vector<pass_row> rows;
  for (std::size_t t = 0; t < T; ++t) {
    const auto at = static_cast<std::int64_t>(t < 150 ? t : t - 150 + 148);  // the second text's go round its ring
    rows.push_back({position{at}, position{at + 1}, position{at + 1}, 0, 0, t < 150 ? 0 : 1});
  }
  const float *keys = b.put(numbers(T * K * d, 1)), *values = b.put(numbers(T * K * d, 2));
  b.on.store(cached_rows<float>{of_texts, 0, b.put(rows), T, keys, values, 2});

  // The last row of the first text sees all of it, one a few, one a single key; of the second, what was stored.
  const std::size_t queries[] = {149, 149, 3, 0, 151, 159};
  const key_range ranges[] = {{position{0}, position{150}},   {position{100}, position{134}},
                              {position{1}, position{4}},     {position{0}, position{1}},
                              {position{148}, position{150}}, {position{148}, position{158}}};
  std::vector<pass_row> asking;
  for (const std::size_t t : queries) asking.push_back(rows[t]);
  row_attention<float> call{of_texts, 0, b.put(asking), {}, 2};
  call.of.query = b.put(numbers(6 * H * d, 3));
  call.of.keys = b.put(std::vector<key_range>(std::begin(ranges), std::end(ranges)));
  float* const out = b.template room<>(6 * H * d);
  call.of.out = out;
  call.of.tokens = 6;
  call.of.heads = H;
  call.of.scale = 0.4f;
  call.of.soft_cap = cap;
  b.on.attend(call);
  b.see("attend", out, 6 * H * d);
}

template <class Bench>
void attend_near(Bench& b, std::size_t past) {
  ops::near_attention<float> call;
  call.rows = 11, call.heads = 2, call.head_size = 5, call.past = past, call.ahead = 3, call.distances = 6,
  call.self = 4;
  call.query_scale = 0.6f, call.key_scale = 1.4f, call.cap = 3;
  const std::size_t n = call.rows * call.heads * call.head_size;
  call.query = b.put(numbers(n, 1)), call.key = b.put(numbers(n, 2)), call.value = b.put(numbers(n, 3));
  call.distance = b.put(numbers(call.distances * call.heads * call.head_size, 4));
  call.per_number = b.put(numbers(call.head_size, 5));
  float* const out = b.template room<>(n);
  call.out = out;
  b.on.attend_near(call);
  call.softened = true;
  b.see("attend_near", out, n);
  b.on.attend_near(call), b.see("attend_near, softened", out, n);
}

/// A product of half floats, where nothing needs to be rounded: two chunks of activations, more stages than ring.
template <class Bench>
void panels(Bench& b) {
  constexpr std::size_t rows = 100, columns = 2304, T = 3;
  std::vector<std::byte> w(rows * row_bytes(storage::q8_0, columns));
  for (std::size_t i = 0; i < w.size(); i += 34) {
    const std::uint16_t scale = f16_from_float(static_cast<float>(1 + i / 34 % 7) / 8);
    std::memcpy(w.data() + i, &scale, 2);
    for (std::size_t j = 0; j < 32; ++j) w[i + 2 + j] = static_cast<std::byte>((i + j) * 37 % 251);
  }
  std::vector<float> x(T * columns);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(static_cast<int>(i * 29 % 61) - 30) / 8;
  const weight_view weight = b.prepared(w, rows, columns, storage::q8_0);
  float* const y = b.template room<>(T * rows);
  b.on.matmul(weight, b.put(x), T, y);
  b.see("panels", y, T * rows);
}

template <class Bench>
void experts(Bench& b) {
  constexpr std::size_t E = 40, k = 3, I = 6, D = 9, T = 4;
  std::array<weight_view, E> gate_up, down;
  for (std::size_t e = 0; e < E; ++e) {
    gate_up[e] = b.floats(2 * I, D, static_cast<unsigned>(10 + e));
    down[e] = b.floats(D, I, static_cast<unsigned>(70 + e));
  }
  float* const logits = b.put(numbers(T * E, 1, 4));
  float* const weight = b.template room<>(T * k);
  std::int32_t* const choice = b.template room<std::int32_t>(T * k);
  b.on.route(logits, T, E, k, b.put(numbers(E, 2)), choice, weight);
  b.see("choice", choice, T * k), b.see("weight", weight, T * k);
  experts_call<float> call{E, k, I, D, T, b.put(numbers(T * D, 3)), weight, choice};
  call.gathered = b.template room<>(T * D), call.both = b.template room<>(T * 2 * I);
  call.gate = b.template room<>(T * I), call.out = b.template room<>(T * D), call.y = b.template room<>(T * D);
  const auto gate = [](auto& on, float* g, const float* up, std::size_t n) { on.gelu_gate(g, up, n); };
  if constexpr (requires { b.on.experts(gate_up, down, gate, call); }) {
    b.on.experts(gate_up, down, gate, call);
  } else {
    composed::experts(b.on, gate_up, down, gate, call);
  }
  b.see("experts", call.y, T * D);
}

template <class Bench>
void clusters(Bench& b, bool all_logits) {
  constexpr std::size_t C = 7, k = 3, V = 42, D = 19;
  const weight_view table = b.floats(V, D, 1);
  std::vector<std::int32_t> ordering(V);
  for (std::size_t i = 0; i < V; ++i) ordering[i] = static_cast<std::int32_t>(i * 5 % V);
  clusters_call<float> call{C, k, V, b.put(numbers(D, 2)), b.put(numbers(C, 3)), b.put(ordering)};
  call.choice = b.template room<std::int32_t>(k);
  call.score = b.template room<>(1);
  call.best = b.template room<token_id>(1);
  call.logits = all_logits ? b.template room<>(V) : nullptr;
  if constexpr (requires { b.on.best_of_clusters(table, call); }) {
    b.on.best_of_clusters(table, call);
  } else {
    composed::best_of_clusters(b.on, table, call);
  }
  b.see("choice", call.choice, k), b.see("best", call.best, 1);
  if (all_logits) b.see("logits", call.logits, V);
}

}  // namespace g4::test
