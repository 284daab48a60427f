/// Operations whose threads wait for each other, as `bench` runs them: for the kernels' tests and for those that plant
/// defects in kernels.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "g4/core/small_float.h"
#include "tests/cuda/on_both.h"

namespace g4::test {

/// A cache of one text, with room for keys and values.
template <class Bench>
cache_view room_for_cache(Bench& b, storage type, std::size_t heads, std::size_t slots, std::size_t head_size) {
  const std::size_t bytes = cached_bytes(type, heads, slots, head_size);
  return {b.template room<std::byte>(bytes), b.template room<std::byte>(bytes), slots, heads, head_size, type};
}

/// Rows of two texts through a ring of a cache, with more keys than four warps take at a time.
template <class Bench>
void attend(Bench& b, storage type, float cap) {
  constexpr std::size_t slots = 150, K = 2, H = 4, d = 64, T = 160;
  const cache_view caches[] = {room_for_cache(b, type, K, slots, d), room_for_cache(b, type, K, slots, d)};
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

/// Where the kernels' cache holds half floats: rows of two texts, each over stretches of its own, few rows (parts that are
/// joined) and then as many again (one part after the other); twice, for what a launch leaves behind.
template <class Bench>
void attend_halves(Bench& b, std::size_t d, float cap) {
  constexpr std::size_t slots = 600, K = 2, H = 6, T = 650;
  const storage type = FindsGreatest<std::remove_cvref_t<decltype(b.on)>> ? storage::f16 : storage::f32;  // a GPU's
  const auto halves = [](std::size_t n, unsigned seed) {
    auto made = numbers(n, seed, 2);
    for (float& x : made) x = std::nearbyint(x * 64) / 64;
    return made;
  };
  const cache_view caches[] = {room_for_cache(b, type, K, slots, d), room_for_cache(b, type, K, slots, d)};
  const cache_view* const of_texts[] = {&caches[0], &caches[1]};
  std::vector<pass_row> rows;
  for (std::size_t t = 0; t < T; ++t) {
    const auto at = static_cast<std::int64_t>(t < 640 ? t : t - 640);
    rows.push_back({position{at}, position{at + 1}, position{at + 1}, 0, 0, t < 640 ? 0 : 1});
  }
  // In two calls: a row of the second goes where one of the first was.
  const auto keys = halves(T * K * d, 1), values = halves(T * K * d, 2);
  const auto *const k = b.put(keys), *const v = b.put(values);
  const auto* const all = b.put(rows);
  b.on.store(cached_rows<float>{of_texts, 0, all, 40, k, v, 2});
  b.on.store(cached_rows<float>{of_texts, 0, all + 40, T - 40, k + 40 * K * d, v + 40 * K * d, 2});

  const std::size_t queries[] = {639, 639, 300, 639, 649};
  const key_range ranges[] = {{position{40}, position{640}},
                              {position{300}, position{310}},
                              {position{250}, position{258}},
                              {position{512}, position{640}},
                              {position{0}, position{10}}};
  std::vector<pass_row> asking;
  std::vector<key_range> seen;
  std::vector<float> q = halves(5 * H * d, 3);
  for (std::size_t i = 0; i < 10; ++i) {
    asking.push_back(rows[queries[i % 5]]);
    seen.push_back(ranges[i % 5]);
  }
  q.insert(q.end(), q.begin(), q.end());
  row_attention<float> call{of_texts, 0, b.put(asking), {}, 2};
  call.of.query = b.put(q);
  call.of.keys = b.put(seen);
  float* const out = b.template room<>(10 * H * d);
  call.of.out = out;
  call.of.heads = H;
  call.of.scale = 0.1f;
  call.of.soft_cap = cap;
  for (const std::size_t tokens : {5u, 1u, 5u, 10u}) {
    call.of.tokens = tokens;
    b.on.attend(call);
    b.see("attend_halves", out, tokens * H * d);
  }
}

/// A number of [least, most], each as likely.
inline std::size_t drawn(std::mt19937& random, std::size_t least, std::size_t most) {
  return least + random() % (most - least + 1);
}

/// Attention of sizes that are drawn: heads and groups, a ring that has gone round or not, rows one behind the other, windows.
template <class Bench>
void attend_drawn(Bench& b, std::mt19937 random, storage type) {
  const std::size_t K = drawn(random, 1, 4), H = K * drawn(random, 1, 6);
  const std::size_t d = type == storage::q8_0  ? 32 * drawn(random, 1, 3)
                        : type == storage::f16 ? 4 * drawn(random, 1, random() % 4 == 0 ? 128 : 20)
                                               : drawn(random, 1, 70);
  const std::size_t T = drawn(random, 1, 19), slots = drawn(random, T, 600), begin = drawn(random, 0, 900);
  const std::size_t window = drawn(random, 1, slots + 1 - T);
  const bool keeps_halves = FindsGreatest<std::remove_cvref_t<decltype(b.on)>>;  // a GPU's
  const cache_view cache = room_for_cache(b, type != storage::f16 || keeps_halves ? type : storage::f32, K, slots, d);
  const cache_view* const of_texts[] = {&cache};
  const auto few_bits = [](std::size_t n, unsigned seed) {
    auto made = numbers(n, seed, 2);
    for (float& x : made) x = std::nearbyint(x * 64) / 64;
    return made;
  };
  const std::size_t end = begin + T, oldest = end < slots ? 0 : end - slots;
  std::vector<pass_row> kept;
  for (std::size_t at = oldest; at < end; ++at) {
    const auto p = static_cast<std::int64_t>(at);
    kept.push_back({position{p}, position{p + 1}, position{static_cast<std::int64_t>(end)}, 0, 0, 0});
  }
  const std::size_t count = end - oldest;
  const pass_row* const rows = b.put(kept);
  b.on.store(cached_rows<float>{of_texts, 0, rows, count, b.put(few_bits(count * K * d, 1)), b.put(few_bits(count * K * d, 2)), 1});
  std::vector<key_range> seen;
  for (std::size_t t = 0; t < T; ++t) {
    const std::size_t at = begin + t, first = at + 1 > oldest + window ? at + 1 - window : oldest;
    seen.push_back({position{static_cast<std::int64_t>(first)}, position{static_cast<std::int64_t>(at) + 1}});
  }
  row_attention<float> call{of_texts, 0, rows + (count - T), {}, 1};
  call.of.query = b.put(few_bits(T * H * d, 3));
  call.of.keys = b.put(seen);
  float* const out = b.template room<>(T * H * d);
  call.of.out = out;
  call.of.tokens = T;
  call.of.heads = H;
  call.of.scale = 1 / std::sqrt(static_cast<float>(d));
  call.of.soft_cap = random() % 3 == 0 ? 5.0f : 0.0f;
  b.on.attend(call);
  b.see("attend", out, T * H * d);
}

/// Queries of five rows, keys and values that go into a cache, and what a query then finds there.
template <class Bench>
void turn_heads(Bench& b, storage type, bool key_is_value) {
  constexpr std::size_t slots = 7, K = 2, H = 4, T = 5;
  constexpr std::size_t d = 96;  // the halves of a pair are other lanes' then
  const cache_view cache = room_for_cache(b, type, K, slots, d);
  const cache_view* const of_texts[] = {&cache};
  std::vector<pass_row> rows;
  for (std::size_t t = 0; t < T; ++t) {
    const auto at = static_cast<std::int64_t>(5 + t);
    rows.push_back({position{at}, position{at + 1}, position{10}, 0, 0, 0});
  }
  heads_call<float> call;
  call.query = b.put(numbers(T * H * d, 1, 3)), call.heads = H, call.query_norm = b.put(numbers(d, 2));
  call.key = b.put(numbers(T * K * d, 3, 3)), call.value = b.put(numbers(T * K * d, 4, 3));
  call.raw_value = key_is_value ? call.key : call.value;
  call.key_heads = K, call.key_norm = b.put(numbers(d, 5)), call.value_normed = key_is_value;
  call.head_size = d, call.rows = T, call.eps = 1e-6f;
  call.cos = b.put(numbers(T * d / 2, 6)), call.sin = b.put(numbers(T * d / 2, 7));
  call.caches = of_texts, call.begun = b.put(rows);
  if constexpr (requires { b.on.turn_heads(call); }) {
    b.on.turn_heads(call);
  } else {
    composed::turn_heads(b.on, call);
  }
  b.see("query", call.query, T * H * d), b.see("key", call.key, T * K * d), b.see("value", call.value, T * K * d);
  row_attention<float> asked{of_texts, 0, call.begun, {}, 1};
  asked.of.query = call.query;
  asked.of.keys = b.put(std::vector<key_range>(T, {position{5}, position{10}}));
  float* const out = b.template room<>(T * H * d);
  asked.of.out = out;
  asked.of.tokens = T;
  asked.of.heads = H;
  b.on.attend(asked);
  b.see("what was kept", out, T * H * d);
}

template <class Bench>
void close_and_open(Bench& b) {
  constexpr std::size_t T = 5, W = 37;
  float *x = b.put(numbers(T * W, 1)), *delta = b.put(numbers(T * W, 2, 3)), *y = b.template room<>(T * W);
  const float *closing = b.put(numbers(W, 3)), *opening = b.put(numbers(W, 4));
  if constexpr (requires { b.on.close_and_open(x, delta, closing, opening, T, W, 1e-6f, y); }) {
    b.on.close_and_open(x, delta, closing, opening, T, W, 1e-6f, y);
  } else {
    composed::close_and_open(b.on, x, delta, closing, opening, T, W, 1e-6f, y);
  }
  b.see("stream", x, T * W), b.see("normed", y, T * W);
}

/// The k greatest of more than a block sorts, some of them equal and one that is no number.
template <class Bench>
void greatest(Bench& b) {
  constexpr std::size_t n = 5000, k = 70;
  auto x = numbers(n, 1);
  for (std::size_t i = 0; i < 9; ++i) x[i * 500 + 3] = 2;
  x[7] = std::numeric_limits<float>::quiet_NaN();
  std::vector<token_id> ids(k);
  std::vector<float> values(k);
  if constexpr (requires { b.on.greatest(x.data(), n, k, ids.data(), values.data()); }) {
    b.on.greatest(b.put(x), n, k, ids.data(), values.data());
  } else {
    std::vector<token_id> all(n);
    for (std::size_t i = 0; i < n; ++i) all[i] = static_cast<token_id>(i);
    const auto of = [&x](token_id id) { return id == 7 ? -2.0f : x[static_cast<std::size_t>(id)]; };
    std::stable_sort(all.begin(), all.end(), [&](token_id a, token_id c) { return of(a) > of(c); });
    for (std::size_t i = 0; i < k; ++i) ids[i] = all[i], values[i] = of(all[i]);
  }
  b.shown.emplace_back("ids", std::vector<double>(ids.begin(), ids.end()));
  b.shown.emplace_back("values", std::vector<double>(values.begin(), values.end()));
}

/// Rows that follow each other: of equal logits the first, in the next block too; and logits that somebody must look at.
template <class Bench>
void next_row(Bench& b) {
  constexpr std::size_t V = 5000;
  constexpr float none = std::numeric_limits<float>::quiet_NaN(), lowest = -std::numeric_limits<float>::infinity();
  pass_row* const row = b.put(std::vector<pass_row>{{position{7}, position{9}, position{9}, 3, 3, 1}});
  token_id* const chosen = b.template room<token_id>(1);
  const auto follow = [&](const std::vector<float>& logits, std::size_t known) {
    const next_row_call<float> call{b.put(logits), logits.size(), known, 2100, row, chosen};
    if constexpr (requires { b.on.next_row(call); }) {
      b.on.next_row(call);
    } else {
      ops::next_row(call);
    }
    b.see("chosen", chosen, 1);
    b.see("row", reinterpret_cast<const std::int64_t*>(row), 3);
    b.see("ids", &row->id, 3);
  };
  auto logits = numbers(V, 1);
  logits[4999] = 2, follow(logits, V);
  logits[2047] = logits[2048] = 2, follow(logits, V);
  logits[2070] = 3, follow(logits, 2070);  // has no row
  logits[4] = none, follow(logits, V);
  follow(std::vector<float>(V, lowest), V);
  follow({-3.0f, lowest, -2.0f}, 3);
  follow({-0.0f, 0.0f}, 2);
}

/// A weight of blocks whose products need no rounding, and activations that are half floats.
inline std::vector<std::byte> exact_blocks(std::size_t rows, std::size_t columns, std::size_t seed) {
  std::vector<std::byte> w(rows * row_bytes(storage::q8_0, columns));
  for (std::size_t i = 0; i < w.size(); i += 34) {
    const std::uint16_t scale = f16_from_float(static_cast<float>(1 + (i / 34 + seed) % 7) / 8);
    std::memcpy(w.data() + i, &scale, 2);
    for (std::size_t j = 0; j < 32; ++j) w[i + 2 + j] = static_cast<std::byte>((i + j + seed) * 37 % 251);
  }
  return w;
}
inline std::vector<float> exact_activations(std::size_t n, float least = 0x1p-3f) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<int>(i * 29 % 61) - 30) * least;
  return x;
}

/// A product of half floats, where nothing needs to be rounded: two chunks of activations, more stages than ring.
template <class Bench>
void panels(Bench& b) {
  constexpr std::size_t rows = 100, columns = 2304, T = 3;
  const float* const x = b.put(exact_activations(T * columns));
  float* const y = b.template room<>(T * rows);
  const weight_view weight = b.prepared(exact_blocks(rows, columns, 0), rows, columns, storage::q8_0);
  b.on.matmul(weight, x, T, y);  // at once, behind the kernel that packs the weight
  b.see("panels", y, T * rows);
}

/// Products of what the kernel in front leaves, twice: a kernel that begins before those in front have ended must not read it yet.
template <class Bench>
void dependent(Bench& b) {
  constexpr std::size_t columns = 544, rows = 64, T = 3;
  const weight_view w = b.prepared(exact_blocks(rows, columns, 0), rows, columns, storage::q8_0);
  const weight_view v = b.prepared(exact_blocks(19, rows, 2), 19, rows, storage::q8_0);
  const float* const x = b.put(exact_activations(T * columns));
  const float* const half = b.put(std::vector<float>(columns, 0.5f));
  float *const z = b.template room<>(T * columns), *const y = b.template room<>(T * rows),
               *const all = b.template room<>(4 * T * 19);
  for (std::size_t i = 0; i < 4; ++i) {
    b.on.scale_columns(i == 0 ? x : z, half, T, columns, z);
    b.on.matmul(w, z, T, y);
    b.on.matmul(v, y, T, all + i * T * 19);
  }
  b.see("dependent", all, 4 * T * 19);
}

/// A prompt's product, where a GPU has warpgroups: two chunks of activations, more stages than ring, a warp without a panel.
template <class Bench>
void prompt(Bench& b) {
  constexpr std::size_t rows = 20, columns = 1056, T = 64;
  const weight_view w = b.prepared(exact_blocks(rows, columns, 0), rows, columns, storage::q8_0);
  float *const x = b.put(exact_activations(T * columns)), *const y = b.template room<>(T * rows);
  for (int i = 0; i < 2; ++i) {
    b.on.scale(x + (T - 1) * columns, columns, 0.5f);
    b.on.matmul(w, x, T, y);
  }
  b.see("prompt", y, T * rows);
}

/// Three weights of one input at once, the last of another storage, and two with a gate between.
template <class Bench>
void gated(Bench& b) {
  constexpr std::size_t columns = 1056, T = 3, rows[] = {37, 19, 50};
  const float* const x = b.put(exact_activations(T * columns, 0x1p-12f));
  const weight_view w[] = {b.prepared(exact_blocks(rows[0], columns, 0), rows[0], columns, storage::q8_0),
                           b.prepared(exact_blocks(rows[1], columns, 3), rows[1], columns, storage::q8_0),
                           b.floats(rows[2], columns, 4),
                           b.prepared(exact_blocks(rows[0], columns, 5), rows[0], columns, storage::q8_0)};
  float* const y[] = {b.template room<>(T * rows[0]), b.template room<>(T * rows[1]), b.template room<>(T * rows[2]),
                      b.template room<>(T * rows[0])};
  if constexpr (requires { typename std::remove_cvref_t<decltype(b.on)>::projection; }) {
    const typename std::remove_cvref_t<decltype(b.on)>::projection several[] = {
        {w[0], y[0]}, {w[1], y[1]}, {w[2], y[2]}};
    b.on.matmuls(several, x, T);
  } else {
    for (std::size_t i = 0; i < 3; ++i) b.on.matmul(w[i], x, T, y[i]);
  }
  for (std::size_t i = 0; i < 3; ++i) b.see("several", y[i], T * rows[i]);
  if constexpr (requires { b.on.gated_product(w[0], w[3], x, T, y[0], y[3]); }) {
    b.on.gated_product(w[0], w[3], x, T, y[0], y[3]);
  } else {
    composed::gated_product(b.on, w[0], w[3], x, T, y[0], y[3]);
  }
  b.see("gated", y[0], T * rows[0]);
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
