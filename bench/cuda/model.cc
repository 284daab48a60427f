// One variant's kernels and decoding: G4_BENCH_VARIANT, whose header is G4_BENCH_HEADER.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include G4_BENCH_HEADER
#include "bench/cuda/bench.h"
#include "g4/load/match.h"
#include "g4/model/text_of.h"
#include "g4/open/open.h"
#include "g4/ops/quantise.h"

namespace {

using namespace g4::bench_cuda;
using g4::result;

result<g4::storage> storage_named(std::string_view name) {
  for (const g4::storage type : {g4::storage::q4_0, g4::storage::q8_0, g4::storage::q4_k, g4::storage::q6_k,
                                 g4::storage::bf16, g4::storage::f16, g4::storage::f32}) {
    if (g4::facts_of(type).name == name) return type;
  }
  return g4::fail("there is no format ", name, " that products are measured in");
}

// ---- Kernels ---------------------------------------------------------------------------------------------------------

/// A random weight: the blocks of 64 rows, again and again.
result<std::vector<std::byte>> random_weight(g4::storage type, std::size_t rows, std::size_t columns) {
  const std::size_t some = std::min<std::size_t>(rows, 64), row = g4::row_bytes(type, columns);
  if (row == 0) return g4::fail("rows of ", columns, " numbers cannot be kept in ", g4::facts_of(type).name);
  std::vector<float> numbers(columns);
  std::vector<std::byte> w(rows * row);
  std::uint64_t state = 42;
  for (std::size_t r = 0; r < some; ++r) {
    for (float& x : numbers) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      x = (static_cast<float>(state >> 40) * 0x1p-24f - 0.5f) / 16;
    }
    if (!g4::quantise(type, numbers.data(), columns, w.data() + r * row)) {
      return g4::fail("nothing is written in ", g4::facts_of(type).name);
    }
  }
  for (std::size_t r = some; r < rows; ++r) std::memcpy(w.data() + r * row, w.data() + (r - some) * row, row);
  return w;
}

/// Products of one shape, by tokens. Copies of the weight take turns, so that none is still in the card's cache.
result<void> product(bench_backend& on, const std::string& name, g4::storage type, std::size_t rows,
                     std::size_t columns) {
  auto bytes = random_weight(type, rows, columns);
  if (!bytes) return g4::unexpected(bytes.error());
  const std::size_t copies = tiny ? 1 : std::min<std::size_t>(64, 1 + (std::size_t{256} << 20) / bytes->size());
  bench_backend::weight_store store;
  std::vector<g4::weight_view> weights;
  for (std::size_t i = 0; i < copies; ++i) {
    auto made = on.prepare(g4::matrix_view{bytes->data(), rows, columns, type}, store);
    if (!made) return g4::unexpected(made.error());
    weights.push_back(*made);
  }
  for (const std::size_t tokens : tiny ? std::vector<std::size_t>{1, 8} : std::vector<std::size_t>{1, 4, 8, 512}) {
    auto x = on.take(tokens * columns * 4), y = on.take(tokens * rows * 4);
    if (!x || !y) return g4::fail("there is no memory for ", tokens, " tokens");
    on.fill(reinterpret_cast<float*>(x->data()), tokens * columns, 0.5f);
    std::size_t next = 0;
    const auto took = seconds_of(on, [&] {
      on.matmul(weights[next++ % copies], reinterpret_cast<float*>(x->data()), tokens,
                reinterpret_cast<float*>(y->data()));
    });
    if (!took) return g4::unexpected(took.error());
    tell("product", name,
         {{"rows", static_cast<double>(rows)},
          {"columns", static_cast<double>(columns)},
          {"tokens", static_cast<double>(tokens)},
          {"bytes", static_cast<double>(bytes->size())},
          {"operations", 2.0 * static_cast<double>(rows * columns * tokens)},
          {"seconds", *took}});
  }
  return {};
}

template <class V>
result<void> kernels_of(bench_backend& on, std::string_view format) {
  const auto named = storage_named(format);
  if (!named) return g4::unexpected(named.error());
  const g4::storage type = *named;
  constexpr g4::text_spec spec = V::spec;
  constexpr g4::layer_kind kind = V::kinds.kind[0];
  constexpr auto heads = static_cast<std::size_t>(kind.query_heads * kind.head_size);
  constexpr auto keys = static_cast<std::size_t>(kind.key_value_heads * kind.head_size);
  constexpr auto width = static_cast<std::size_t>(spec.width), hidden = static_cast<std::size_t>(kind.hidden);
  struct shape {
    const char* name;
    std::size_t rows, columns;
  };
  for (const shape& one : {shape{"query", heads, width}, shape{"key", keys, width}, shape{"output", width, heads},
                           shape{"gate", hidden, width}, shape{"down", width, hidden},
                           shape{"head", static_cast<std::size_t>(spec.vocab), width}}) {
    if (g4::row_bytes(type, one.columns) == 0) continue;
    if (auto done = product(on, one.name, type, one.rows, one.columns); !done) return done;
  }
  return {};
}

// ---- Models ----------------------------------------------------------------------------------------------------------

template <class V>
result<void> model_of(bench_backend& on, const std::string& path, const std::vector<std::size_t>& contexts) {
  const auto from = g4::open_checkpoint(path);
  if (!from) return g4::unexpected(from.error());
  const auto weights = g4::open_weights<V>(*from, on);
  if (!weights) return g4::unexpected(weights.error());
  const auto ids_of = [](std::size_t n) {
    std::vector<g4::token_id> ids(n);
    std::uint64_t state = 7;
    for (auto& id : ids) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      id = static_cast<g4::token_id>((state >> 33) % static_cast<std::uint64_t>(V::vocab));
    }
    return ids;
  };
  const std::size_t deepest = *std::max_element(contexts.begin(), contexts.end());
  const std::size_t room = deepest + (tiny ? 40 : 2048 + 64), batch = tiny ? 16 : 512;
  auto text = g4::session<V, bench_backend>::make(**weights, on, {.context = room, .batch = batch, .best_logits = 1});
  if (!text) return g4::unexpected(text.error());
  const auto ids = ids_of(room);
  const auto run = [&](std::span<const g4::token_id> some) -> result<void> {
    if (auto ran = text->run(some); !ran) return g4::unexpected(ran.error());
    return {};
  };
  // Single tokens as they are generated: the likeliest each time, without waiting for the host.
  const auto decode = [&](std::size_t first, std::size_t tokens, std::size_t times) -> result<void> {
    for (std::size_t i = 0; i < times && tokens != 1; ++i) {
      if (auto ran = run(std::span(ids).subspan(first + i * tokens, tokens)); !ran) return ran;
    }
    if (tokens != 1) return {};
    const auto left = text->run_ahead(ids[first], times, [](g4::token_id) { return true; });
    if (!left) return g4::unexpected(left.error());
    if (!left->empty()) return g4::fail("no token is the likeliest");
    return {};
  };
  const auto timed = [&](const std::string& name, std::size_t depth, std::size_t tokens,
                         std::size_t times) -> result<void> {
    if (auto empty = text->rewind(0); !empty) return g4::unexpected(empty.error());
    if (depth != 0) {
      if (auto ran = run(std::span(ids).first(depth)); !ran) return ran;
    }
    for (int i = 0; i < 3 && times > 1; ++i) {  // the first is run, the second recorded
      if (auto ran = decode(depth, tokens, 1); !ran) return ran;
      if (auto back = text->rewind(depth); !back) return g4::unexpected(back.error());
    }
    const auto begun = std::chrono::steady_clock::now();
    if (auto ran = times > 1 ? decode(depth, tokens, times) : run(std::span(ids).subspan(depth, tokens)); !ran) return ran;
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    tell(times > 1 ? "decode" : "prompt", name,
         {{"context", static_cast<double>(depth)},
          {"tokens", static_cast<double>(tokens)},
          {"steps", static_cast<double>(times)},
          {"seconds", took}});
    return {};
  };
  for (const std::size_t depth : contexts) {
    for (const std::size_t tokens : {1u, 4u, 8u}) {
      if (auto done = timed("decode", depth, tokens, tiny ? 3 : 64 / tokens); !done) return done;
    }
  }
  for (const std::size_t tokens : tiny ? std::vector<std::size_t>{20} : std::vector<std::size_t>{512, 2048}) {
    if (auto done = timed("prompt", 0, tokens, 1); !done) return done;  // the first warms up
    if (auto done = timed("prompt", 0, tokens, 1); !done) return done;
  }
  return {};
}

using measured = g4::text_of<g4::G4_BENCH_VARIANT>;
[[maybe_unused]] const auto& known = all_measured().emplace_back(
    measured_variant{g4::load::variant_name<measured>(), &kernels_of<measured>, &model_of<measured>});

}  // namespace
