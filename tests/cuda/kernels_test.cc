// Every kernel against its definition, at odd sizes, with twenty orders of threads and blocks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/io/safetensors.h"
#include "g4/ops/dequantise.h"
#include "tests/cuda/on_both.h"
#include "tests/cuda/scenarios.h"

#ifndef G4_TEST_ON_GPU
#include "kernels/cuda/inside.h"
#endif

namespace {

using namespace g4;
using test::bench;
using test::expect_the_same;
using test::numbers;

constexpr std::size_t T = 5, W = 37;

TEST(kernels, of_numbers) {
  expect_the_same([](auto& b) {
    const auto some = [&](unsigned seed) { return b.put(numbers(T * W, seed)); };
    float *x = some(1), *y = some(2), *z = some(3);
    const float *w = b.put(numbers(W, 4)), *factor = b.put(std::vector<float>{0.75f});
    const auto see = [&](const char* what, const float* p) { b.see(what, p, T * W); };
    b.on.fill(y, T * W - 3, 2.5f), see("fill", y);
    b.on.scale(x, T * W, 1.5f), see("scale", x);
    b.on.scale_by(x, T * W, factor), see("scale_by", x);
    b.on.divide(x, T * W, 3.0f), see("divide", x);
    b.on.scale_columns(x, w, T, W, y), see("scale_columns", y);
    b.on.add(x, T * W, y), see("add", y);
    b.on.add_three(x, y, z, T * W, 0.7f, z), see("add_three", z);
    b.on.add_bias(z, w, T, W), see("add_bias", z);
    b.on.tanh(z, T * W), see("tanh", z);
    b.on.soft_cap(x, T * W, 0.4f), see("soft_cap", x);
    b.on.gelu_gate(z, x, T * W), see("gelu_gate", z);
    b.on.copy(z, T * W, y), see("copy", y);
    float* const mean = b.template room<>(W);
    b.on.mean_rows(y, T, W, mean), b.see("mean_rows", mean, W);
    float* const caps = b.put(std::vector<float>{std::numeric_limits<float>::infinity(), 1});
    b.on.soft_cap(caps, 2, 30), b.see("soft_cap of an infinity", caps, 2);
  });
}

TEST(kernels, of_rows) {
  expect_the_same([](auto& b) {
    float *x = b.put(numbers(T * W, 1, 3)), *y = b.template room<>(T * W), *delta = b.put(numbers(T * W, 2));
    const float *w = b.put(numbers(W, 3)), *bias = b.put(numbers(W, 4));
    b.on.rms_norm(x, w, T, W, 1e-6f, y), b.see("rms_norm", y, T * W);
    b.on.rms_norm(y, static_cast<const float*>(nullptr), T, W, 1e-6f, y), b.see("rms_norm in place", y, T * W);
    b.on.add_norm(x, delta, w, T, W, 1e-6f), b.see("add_norm", x, T * W);
    b.on.layer_norm(x, w, bias, T, W, 1e-5f, y), b.see("layer_norm", y, T * W);
    b.on.layer_norm(x, w, static_cast<const float*>(nullptr), T, W, 1e-5f, y), b.see("layer_norm, no bias", y, T * W);
    b.on.match_magnitude(x, T, W, y), b.see("match_magnitude", y, T * W);
    b.on.sparsify(y, T, W, 0.3f), b.see("sparsify", y, T * W);
    b.on.unit(x, W, y), b.see("unit", y, W);
    token_id* const best = b.template room<token_id>(3);
    std::vector<float> many = numbers(1000, 5);
    many[700] = many[90] = many[355] = 2;
    b.on.best(b.put(many), many.size(), best);
    b.on.best(b.put(std::vector<float>{-3}), 1, best + 1);
    b.on.best(b.put(std::vector<float>{-3, std::numeric_limits<float>::quiet_NaN(), -2}), 3, best + 2);
    b.see("best", best, 3);
  });
}

TEST(kernels, of_streams) {
  expect_the_same([](auto& b) {
    constexpr std::size_t A = 3;
    const float *h = b.put(numbers(A * T * W, 1)), *r = b.put(numbers(T * A * A, 2)), *c = b.put(numbers(T * A, 3));
    const float* const y = b.put(numbers(T * W, 4));
    float* const predicted = b.template room<>(A * T * W);
    b.on.altup_predict(h, r, A, T, W, predicted), b.see("altup_predict", predicted, A * T * W);
    b.on.altup_correct(predicted, y, c, A, 1, T, W, predicted), b.see("altup_correct", predicted, A * T * W);
  });
}

TEST(kernels, of_towers) {
  expect_the_same([](auto& b) {
    float *x = b.put(numbers(T * W, 1, 2)), *y = b.template room<>(T * W);
    const float *w = b.put(numbers(W, 2)), *bias = b.put(numbers(W, 3)),
                *bounds = b.put(std::vector<float>{-0.5f, 0.7f});
    const auto see = [&](const char* what, const float* p) { b.see(what, p, T * W); };
    b.on.centre(x, T * W), see("centre", x);
    b.on.gelu(x, T * W), see("gelu", x);
    b.on.clamp(x, T * W, bounds, bounds + 1, y), see("clamp", y);
    b.on.keep_within(x, T * W, -0.1f, 0.3f, y), see("keep_within", y);
    b.on.standardise(x, bias, w, T, W), see("standardise", x);
    b.on.silu(x, T * W), see("silu", x);
    b.on.relu(x, T * W), see("relu", x);
    const float* const wide = b.put(numbers(T * 2 * W, 4));
    b.on.glu(wide, T, W, y), see("glu", y);
    const token_id* const of = b.put(std::vector<token_id>{4, 0, 1, 1, 3, 2});
    b.on.mean_groups(x, of, 2, 3, W, y), b.see("mean_groups", y, 2 * W);
    const ops::squares plane{7, 6, 3, 3, 2, 2};
    const float* const picture = b.put(numbers(7 * 6 * 3, 5));
    const std::size_t all = plane.columns() * plane.numbers();
    float* const squares = b.template room<>(3 * all);
    b.on.unfold(picture, plane, 1, 3, squares), b.see("unfold", squares, 3 * all);
    for (const ops::plane whole : {ops::plane{7, 6, 3, 3, 2}, ops::plane{7, 6, 3, 5, 1}}) {
      const std::size_t columns = whole.columns() * whole.numbers(), out = whole.rows() * whole.columns() * 3;
      float* const unfolded = b.template room<>(3 * columns);
      b.on.unfold(picture, whole, 1, 3, unfolded), b.see("unfold a plane", unfolded, 3 * columns);
      float* const filtered = b.template room<>(out);
      b.on.depthwise(picture, b.put(numbers(25 * 3, 10)), whole, filtered), b.see("depthwise", filtered, out);
    }
    float* const beside = b.put(numbers(4 * 50, 11));
    b.on.lay_beside(x, of, 4, W, 50, beside), b.see("lay_beside", beside, 4 * 50);
    const ops::cumulative_norm norm{4, 9, 1e-3f, w};
    float* const heard = b.put(numbers(T * 36, 12, 3));
    b.on.cumulative_norm(heard, norm, T, heard), b.see("cumulative_norm", heard, T * 36);
    b.on.convolve_back(x, b.put(numbers(W * 4, 6)), T, W, 4, y), see("convolve_back", y);
    const float *cos = b.put(numbers(T * 2 * 4, 7)), *sin = b.put(numbers(T * 2 * 4, 8));
    float* const heads = b.put(numbers(T * 2 * 16, 9));
    b.on.rope_2d(heads, T, 2, 16, cos, sin), b.see("rope_2d", heads, T * 2 * 16);
  });
}

TEST(kernels, of_attention_among_neighbours) {
  for (const std::size_t past : {2u, 40u}) expect_the_same([past](auto& b) { test::attend_near(b, past); });
}

TEST(kernels, of_a_pass_that_begins) {
  expect_the_same([](auto& b) {
    std::vector<pass_row> rows;
    for (int t = 0; t < 5; ++t) rows.push_back({position{30 + t}, position{31 + t}, position{35}, 7 * t, t, 0});
    rows[1].run_end = rows[2].run_end = position{34};
    const key_mask masks[] = {{-1, 0, false}, {8, 0, true}, {3, 3, false}};
    const std::vector<double> frequencies{1, 0.25, 0.01};
    float *cos = b.template room<>(15), *sin = b.template room<>(15);
    const angle_table<float> table{b.put(frequencies), 3, cos, sin};
    begin_call<float> call{b.put(rows),
                           5,
                           2,
                           b.template room<token_id>(5),
                           b.template room<token_id>(5),
                           masks,
                           3,
                           b.template room<key_range>(3 * 6),
                           6,
                           &table,
                           1};
    b.on.begin(call);
    b.see("ids", call.ids, 5), b.see("looked_up", call.looked_up, 5);
    for (int m = 0; m < 3; ++m) b.see("keys", reinterpret_cast<const std::int64_t*>(call.keys + 6 * m), 10);
    b.see("cos", cos, 15), b.see("sin", sin, 15);
    float* const x = b.put(numbers(5 * 2 * 6, 1));
    b.on.rope(x, 5, 2, 6, cos, sin), b.see("rope", x, 60);
  });
}

TEST(kernels, of_attention_over_a_cache) {
  for (const storage type : {storage::f32, storage::q8_0}) {
    for (const float cap : {0.0f, 5.0f}) expect_the_same([=](auto& b) { test::attend(b, type, cap); });
  }
}

TEST(kernels, of_attention_in_half_floats) {
  for (const std::size_t d : {36u, 64u}) {
    for (const float cap : {0.0f, 5.0f}) {
      expect_the_same([=](auto& b) { test::attend_halves(b, d, cap); }, 2e-3, backend::numeric::fast);
    }
  }
}

/// Sizes that nobody chose. By hand, with G4_DRAWS in the environment, as many as one has time for.
std::uint32_t draws(std::uint32_t usually) {
  const char* const more = std::getenv("G4_DRAWS");
  return more != nullptr ? static_cast<std::uint32_t>(std::strtoul(more, nullptr, 10)) : usually;
}

TEST(kernels, of_attention_of_sizes_that_are_drawn) {
  for (std::uint32_t i = 0; i < draws(12); ++i) {
    const storage type = i % 4 == 0 ? storage::q8_0 : i % 4 == 1 ? storage::f32 : storage::f16;
    SCOPED_TRACE(i);
    expect_the_same([=](auto& b) { test::attend_drawn(b, std::mt19937(i), type); }, type == storage::f16 ? 2e-3 : 1e-5,
                    backend::numeric::fast, 1);
    if (HasFailure()) return;
  }
}

TEST(kernels, of_products_of_sizes_that_are_drawn) {
  for (std::uint32_t i = 0; i < draws(16); ++i) {
    SCOPED_TRACE(i);
    std::mt19937 random(i);
    const std::size_t rows = test::drawn(random, 1, 70), columns = 32 * test::drawn(random, 1, i % 4 == 0 ? 80 : 9);
    const std::size_t tokens = test::drawn(random, 1, 19), up = test::drawn(random, 1, 40);
    expect_the_same(
        [=](auto& b) {
          const weight_view w = b.prepared(test::exact_blocks(rows, columns, i), rows, columns, storage::q8_0);
          const weight_view v = b.prepared(test::exact_blocks(up, columns, i + 1), up, columns, storage::q8_0);
          const float* const x = b.put(test::exact_activations(tokens * columns));
          float *const y = b.template room<>(tokens * rows), *const z = b.template room<>(tokens * up);
          if constexpr (requires { typename std::remove_cvref_t<decltype(b.on)>::projection; }) {
            const typename std::remove_cvref_t<decltype(b.on)>::projection both[] = {{w, y}, {v, z}};
            b.on.matmuls(both, x, tokens);
          } else {
            b.on.matmul(w, x, tokens, y), b.on.matmul(v, x, tokens, z);
          }
          b.see("product", y, tokens * rows), b.see("the other", z, tokens * up);
        },
        1e-5, backend::numeric::fast, 1);
    if (HasFailure()) return;
  }
}

/// More rows than a GPU has blocks along y and z. Of attention over a cache the definitions have the first and the last alone:
/// the others are of a text that is not asked for.
TEST(kernels, of_more_rows_than_a_grid_is_high) {
  constexpr std::size_t many = 65535 + 20, d = 4;
  expect_the_same(
      [](auto& b) {
        const std::size_t rows = FindsGreatest<std::remove_cvref_t<decltype(b.on)>> ? many : 2;  // a GPU's, or the definitions'
        std::vector<pass_row> asking(rows, pass_row{position{0}, position{1}, position{1}, 0, 0, 1});
        asking.front().text = asking.back().text = 0;
        const cache_view cache = test::room_for_cache(b, storage::f32, 1, 2, d);
        const cache_view* const of_texts[] = {&cache};
        const pass_row* const all = b.put(asking);
        const float* const some = b.put(numbers(many * d, 1));
        b.on.store(cached_rows<float>{of_texts, 0, all, 1, some, some, 1});
        row_attention<float> call{of_texts, 0, all, {}, 1};
        call.of.query = some;
        call.of.keys = b.put(std::vector<key_range>(rows, {position{0}, position{1}}));
        float* const out = b.template room<>(many * d);
        call.of.out = out;
        call.of.tokens = rows, call.of.heads = 1;
        b.on.attend(call);
        b.see("attend, first", out, d), b.see("attend, last", out + (rows - 1) * d, d);

        ops::near_attention<float> near;
        near.rows = many, near.heads = 1, near.head_size = d, near.past = 2, near.ahead = 1, near.distances = 1, near.cap = 1;
        near.query = near.key = near.value = near.distance = some, near.per_number = b.put(numbers(d, 2));
        near.out = out;
        b.on.attend_near(near);
        b.see("attend_near", out, many * d);
      },
      1e-5, backend::numeric::exact, 0);
}

TEST(kernels, of_heads_that_are_normed_turned_and_kept) {
  for (const storage type : {storage::f32, storage::q8_0}) {
    for (const bool key_is_value : {false, true}) {
      expect_the_same([=](auto& b) { test::turn_heads(b, type, key_is_value); });
    }
  }
}

TEST(kernels, of_norms_that_close_and_open) {
  expect_the_same([](auto& b) { test::close_and_open(b); });
}

TEST(kernels, of_several_products_and_gated_ones) {
  expect_the_same([](auto& b) { test::gated(b); }, 1e-5, backend::numeric::fast);
  expect_the_same([](auto& b) { test::gated(b); });
}

TEST(kernels, that_begin_before_those_in_front_have_ended) {
  expect_the_same([](auto& b) { test::dependent(b); }, 1e-5, backend::numeric::fast);
}

TEST(kernels, of_the_greatest) {
  expect_the_same([](auto& b) { test::greatest(b); }, 0);
}

TEST(kernels, of_the_row_that_follows) {
  expect_the_same([](auto& b) { test::next_row(b); }, 0);
}

TEST(kernels, of_experts) {
  expect_the_same([](auto& b) { test::experts(b); });
}

TEST(kernels, of_clusters) {
  for (const bool all : {false, true}) expect_the_same([all](auto& b) { test::clusters(b, all); });
}

// ---- Stored weights --------------------------------------------------------------------------------------------------

/// Random blocks of a storage, from the file of the definitions' own test.
struct random_blocks {
  std::size_t rows = 0, columns = 0;
  std::vector<std::byte> bytes;
  std::vector<std::size_t> finite;  ///< rows without infinite or huge scales

  explicit random_blocks(storage type) {
    const auto file = io::open_safetensors(G4_SOURCE_DIR "/tests/io/data/blocks.safetensors");
    const std::string name(facts_of(type).name);
    const auto* const blocks = file->find(name + ".blocks");
    rows = blocks->dims[0], columns = file->find(name + ".values")->dims[1];
    bytes.assign(blocks->bytes.begin(), blocks->bytes.end());
    std::vector<float> numbers(columns);
    const float huge = type == storage::iq4_xs ? 1e7f : 1e4f;  // of which all rows are large
    for (std::size_t r = 0; r < rows; ++r) {
      dequantise(type, bytes.data() + r * stride(), columns, numbers.data());
      if (std::all_of(numbers.begin(), numbers.end(), [huge](float x) { return std::abs(x) < huge; }))
        finite.push_back(r);
    }
  }
  [[nodiscard]] std::size_t stride() const { return bytes.size() / rows; }
  /// A matrix [tall, wide · columns] of the finite rows, in some order.
  [[nodiscard]] std::vector<std::byte> matrix(std::size_t tall, std::size_t wide) const {
    std::vector<std::byte> made;
    for (std::size_t i = 0; i < tall * wide; ++i) {
      const auto* const row = bytes.data() + finite[i * 7 % finite.size()] * stride();
      made.insert(made.end(), row, row + stride());
    }
    return made;
  }
};

class stored : public testing::TestWithParam<storage> {};

TEST_P(stored, numbers_are_unpacked_to_the_definitions_bits_and_multiplied) {
  const random_blocks some(GetParam());
  const std::string name(facts_of(GetParam()).name);
  ASSERT_FALSE(some.finite.empty());
  const std::size_t rows = some.rows, columns = some.columns;
  expect_the_same(
      [&](auto& b) {
        std::vector<token_id> ids(rows);
        for (std::size_t r = 0; r < rows; ++r) ids[r] = static_cast<token_id>(rows - 1 - r);
        float* const y = b.template room<>(rows * columns);
        b.on.embed(b.weight(some.bytes, rows, columns, GetParam()), b.put(ids), rows, 1.0f, y);
        b.see(name + " unpacked", y, rows * columns);
      },
      0);
  expect_the_same([&](auto& b) {
    const weight_view w = b.weight(some.matrix(11, 1), 11, columns, GetParam());
    float* const out = b.template room<>(17 * 11);
    for (const std::size_t tokens : {1u, 3u, 8u, 17u}) {
      b.on.matmul(w, b.put(numbers(tokens * columns, 2)), tokens, out);
      b.see(name + " product", out, tokens * 11);
    }
    float* const mixed = b.put(numbers(2 * columns, 3));
    b.on.mix_embedded(w, b.put(std::vector<token_id>{0, 10}), 2, 0.5f, 0.7f, b.template room<>(columns), mixed);
    b.see(name + " mix_embedded", mixed, 2 * columns);
  });
}

INSTANTIATE_TEST_SUITE_P(storages, stored,
                         testing::Values(storage::f32, storage::f16, storage::bf16, storage::q4_0, storage::q4_1,
                                         storage::q5_0, storage::q5_1, storage::q8_0, storage::q4_k, storage::q5_k,
                                         storage::q6_k, storage::q2_k, storage::q3_k, storage::iq4_nl, storage::iq4_xs,
                                         storage::mxfp4),
                         [](const auto& made) { return std::string(facts_of(made.param).name); });

/// Numbers of plain storage that a half float holds, or two of them where the storage is float32.
std::vector<std::byte> few_bits(std::size_t n, storage type) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < n; ++i) {
    const float x = static_cast<float>(static_cast<int>(i * 37 % 65) - 32) / 8 * (type == storage::f32 ? 1.2345678f : 1.0f);
    std::byte at[4];
    const std::uint16_t half = type == storage::f16 ? f16_from_float(x) : bf16_from_float(x);
    if (type == storage::f32) std::memcpy(at, &x, 4);
    if (type != storage::f32) std::memcpy(at, &half, 2);
    bytes.insert(bytes.end(), at, at + row_bytes(type, 1));
  }
  return bytes;
}

/// In `fast` products are of half floats. Activations that are half floats already, and weights that are exact in panels, give
/// what the definition gives but for the rounding of sums.
class in_panels : public testing::TestWithParam<storage> {};

TEST_P(in_panels, products_are_as_defined_where_nothing_is_rounded) {
  const random_blocks some(GetParam());
  const bool plain = facts_of(GetParam()).block_elements == 1;
  // Two chunks of activations and half a stage; and for plain floats and blocks of 32 a width that fills no stage.
  const std::size_t wide = 2304 / some.columns + 1, tall = 19;
  std::vector<std::pair<std::size_t, std::vector<std::byte>>> weights{{wide * some.columns, some.matrix(tall, wide)}};
  if (some.columns % 256 != 0 || facts_of(GetParam()).block_elements <= 32) {
    const std::size_t one = row_bytes(GetParam(), 32);
    std::vector<std::byte> narrow;
    for (std::size_t r = 0; r < tall; ++r) {
      const auto* const row = some.bytes.data() + some.finite[r % some.finite.size()] * some.stride();
      narrow.insert(narrow.end(), row, row + one);
    }
    weights.emplace_back(32, narrow);
  }
  for (auto& [columns, bytes] : weights) {
    if (plain) {  // numbers that a half float holds
      std::vector<float> numbers(tall * columns);
      for (std::size_t i = 0; i < numbers.size(); ++i)
        numbers[i] = static_cast<float>(static_cast<int>(i * 37 % 65) - 32) / 8;
      if (GetParam() == storage::f32) {  // or two of them, wherever they lie
        for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] *= 1.2345678f * (i / columns % 2 == 0 ? 1e-7f : 1e7f);
      }
      bytes.clear();
      for (const float x : numbers) {
        std::byte at[4];
        const std::uint16_t half = GetParam() == storage::f16 ? f16_from_float(x) : bf16_from_float(x);
        if (GetParam() == storage::f32) std::memcpy(at, &x, 4);
        if (GetParam() != storage::f32) std::memcpy(at, &half, 2);
        bytes.insert(bytes.end(), at, at + row_bytes(GetParam(), 1));
      }
    }
    for (const std::size_t tokens : {3u, 11u}) {
      std::vector<float> x(tokens * columns);
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(static_cast<int>(i * 29 % 61) - 30) * 0x1p-3f;
      expect_the_same(
          [&](auto& b) {
            const weight_view w = b.prepared(bytes, tall, columns, GetParam());
            EXPECT_EQ(w.prepared != nullptr,
                      (requires { typename std::remove_cvref_t<decltype(b.on)>::weight_store; }));
            float* const y = b.template room<>(tokens * tall);
            b.on.matmul(w, b.put(x), tokens, y);
            b.see("product", y, tokens * tall);
            if (tokens != 3) return;
            std::vector<float> odd = x;  // beyond what a half float holds
            for (float& one : odd) one *= 0x1p40f;
            b.on.matmul(w, b.put(odd), tokens, y);
            b.see("product of large numbers", y, tokens * tall);
            odd = x;
            odd[columns + 3] = std::numeric_limits<float>::quiet_NaN();
            b.on.matmul(w, b.put(odd), tokens, y);
            b.see("product of what is no number", y, tokens * tall);
          },
          1e-5, backend::numeric::fast);
    }
  }
}

/// The same of prompts, where a GPU has the products of warpgroups.
TEST_P(in_panels, products_of_prompts_are_as_defined) {
  const random_blocks some(GetParam());
  const std::size_t wide = 1056 / some.columns + 1, tall = 19, columns = wide * some.columns;
  std::vector<std::byte> bytes = some.matrix(tall, wide);
  if (facts_of(GetParam()).block_elements == 1) bytes = few_bits(tall * columns, GetParam());
  for (const std::size_t tokens : {64u, 67u}) {
    expect_the_same(
        [&](auto& b) {
          const weight_view w = b.prepared(bytes, tall, columns, GetParam());
          std::vector<float> x = test::exact_activations(tokens * columns);
          for (std::size_t i = 0; i < columns; ++i) x[i] *= 0x1p40f;  // each row has powers of two of its own
          float* const y = b.template room<>(tokens * tall);
          b.on.matmul(w, b.put(x), tokens, y);
          b.see("the large row", y, tall), b.see("the others", y + tall, (tokens - 1) * tall);
        },
        1e-5, backend::numeric::fast, 2, 90);
  }
}

INSTANTIATE_TEST_SUITE_P(storages, in_panels,
                         testing::Values(storage::f32, storage::f16, storage::bf16, storage::q4_0, storage::q8_0,
                                         storage::q4_k, storage::q6_k),
                         [](const auto& made) { return std::string(facts_of(made.param).name); });

#ifndef G4_TEST_ON_GPU

/// The kernels without those that do several steps at once.
class step_by_step : public backend::cuda_on_host {
  using backend::cuda_on_host::close_and_open;
  using backend::cuda_on_host::turn_heads;
};

TEST(products, give_a_row_the_same_bits_however_many_there_are) {
  backend::cuda_on_host on;
  bench<backend::cuda_on_host> b(on);
  const weight_view w = b.floats(70, 50, 1);
  const float* const x = b.put(numbers(20 * 50, 2));
  float *all = b.room<>(20 * 70), *one = b.room<>(70);
  on.matmul(w, x, 20, all);
  std::vector<float> many(20 * 70), single(70);
  static_cast<void>(on.host(all, many.size(), many.data()));
  for (std::size_t t = 0; t < 20; ++t) {
    on.matmul(w, x + t * 50, 1, one);
    static_cast<void>(on.host(one, single.size(), single.data()));
    EXPECT_EQ(single, std::vector<float>(many.begin() + static_cast<std::ptrdiff_t>(t * 70),
                                         many.begin() + static_cast<std::ptrdiff_t>((t + 1) * 70)));
  }
}

/// On the host, whose warps and warpgroups round alike; on a GPU the last bits may differ, so a session that wants rows alike
/// says so.
TEST(products_of_prompts, have_the_bits_of_few_rows_and_are_left_alone_where_rows_are_kept_alike) {
  const std::size_t columns = 1056, tokens = 130, rows[] = {150, 40};
  const auto products = [&](gpu_options choice, bool alike, std::size_t& launches) {
    choice.mode = backend::numeric::fast;
    backend::cuda_on_host on(choice);
    bench<backend::cuda_on_host> b(on);
    const weight_view w = b.prepared(test::exact_blocks(rows[0], columns, 0), rows[0], columns, storage::q8_0);
    const weight_view v = b.prepared(test::exact_blocks(rows[1], columns, 1), rows[1], columns, storage::q8_0);
    const weight_view u = b.prepared(test::exact_blocks(rows[1], columns, 2), rows[1], columns, storage::q8_0);
    const float* const x = b.put(numbers(tokens * columns, 3, 5));
    float *const y = b.room<>(tokens * rows[0]), *const z = b.room<>(tokens * rows[1]), *const up = b.room<>(tokens * rows[1]);
    EXPECT_FALSE(on.keep_rows_alike(alike));
    const backend::cuda_on_host::projection both[] = {{w, y}, {v, z}};
    const std::size_t before = on.device().in().machine.done().launches;
    on.matmuls(both, x, tokens);
    static_cast<void>(on.failure());
    launches = on.device().in().machine.done().launches - before;
    b.see("one", y, tokens * rows[0]), b.see("the other", z, tokens * rows[1]);
    on.gated_product(v, u, x, tokens, z, up);
    b.see("gated", z, tokens * rows[1]);
    EXPECT_TRUE(on.failure());
    return b.shown;
  };
  std::size_t few = 0, prompts = 0, alike = 0;
  const auto want = products({}, false, few);
  EXPECT_TRUE(test::near(products({.seed = 3, .capability = 90}, false, prompts), want, 0, true));
  EXPECT_TRUE(test::near(products({.capability = 90}, true, alike), want, 0, true));
  EXPECT_EQ(few, 1u);      // both weights at once
  EXPECT_EQ(prompts, 3u);  // activations, then each weight
  EXPECT_EQ(alike, 1u);
}

TEST(products_of_prompts, begin_where_rows_are_no_longer_alike) {
  const auto most_of = [](backend::numeric mode, int capability, bool kept) {
    backend::cuda_on_host on({.mode = mode, .capability = capability});
    on.keep_rows_alike(kept);
    return rows_alike(std::as_const(on));
  };
  constexpr auto any = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(most_of(backend::numeric::fast, 90, false), 63u);
  EXPECT_EQ(most_of(backend::numeric::fast, 90, true), any);
  EXPECT_EQ(most_of(backend::numeric::fast, 80, false), any);
  EXPECT_EQ(most_of(backend::numeric::exact, 90, false), any);
}

TEST(attention_in_half_floats, gives_a_row_the_same_bits_however_many_there_are) {
  backend::cuda_on_host on({.mode = backend::numeric::fast});
  bench<backend::cuda_on_host> b(on);
  test::attend_halves(b, 64, 0);  // five rows, one, five, and ten, of which the last five are the first
  const auto &five = b.shown[0].second, &one = b.shown[1].second, &again = b.shown[2].second, &ten = b.shown[3].second;
  const auto part = [](const auto& of, std::size_t first, std::size_t n) {
    return std::vector<double>(of.begin() + static_cast<std::ptrdiff_t>(first),
                               of.begin() + static_cast<std::ptrdiff_t>(first + n));
  };
  EXPECT_EQ(one, part(five, 0, one.size()));
  EXPECT_EQ(again, five);
  EXPECT_EQ(part(ten, 0, five.size()), five);
  EXPECT_EQ(part(ten, five.size(), five.size()), five);
}

TEST(fused_kernels, give_the_bits_of_their_steps) {
  for (const storage type : {storage::f32, storage::f16, storage::q8_0}) {
    backend::cuda_on_host on;
    bench<backend::cuda_on_host> b(on);
    test::turn_heads(b, type, true);
    test::close_and_open(b);
    step_by_step alone;
    bench<step_by_step> steps(alone);
    test::turn_heads(steps, type, true);
    test::close_and_open(steps);
    EXPECT_TRUE(test::near(b.shown, steps.shown, 0, true));
  }
}

// ---- Memory ----------------------------------------------------------------------------------------------------------

TEST(device_memory, cannot_be_read_by_the_host) {
  backend::cuda_on_host on;
  const auto memory = *on.take(64);
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile std::byte*>(memory.data())), "");
}

TEST(device_memory, ends_where_a_kernel_that_goes_on_is_caught) {
  backend::cuda_on_host on;
  const auto memory = *on.take(64 * sizeof(float));
  auto* const x = reinterpret_cast<float*>(memory.data());
  on.fill(x, 64, 1.0f);
  EXPECT_DEATH(on.fill(x, 65, 1.0f), "");
}

TEST(device_memory, that_cannot_be_had_is_a_sentence) {
  backend::cuda_on_host on;
  const auto none = on.take(std::size_t{1} << 60);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "there is no memory for 1152921504606846976 bytes");
}

#endif

}  // namespace
