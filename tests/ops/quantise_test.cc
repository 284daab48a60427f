// Rows of every kind, quantised and read back: how far off they are, and never farther than the plain choice would be.
#include "g4/ops/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using g4::storage;
using row = std::vector<float>;

constexpr std::size_t columns = 512;
constexpr storage blocks[] = {storage::q4_0, storage::q5_0, storage::q8_0, storage::q4_k, storage::q6_k};

/// Uniform in [−1, 1), the same on every machine.
class numbers {
 public:
  explicit numbers(std::uint64_t seed) : state_(seed) {}
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state_ >> 40) * 0x1p-23f - 1.0f;
  }
  /// About normal, of spread 1.
  float bell() { return (next() + next() + next() + next()) * 0.866f; }

 private:
  std::uint64_t state_;
};

row filled(const std::function<float(std::size_t)>& at, std::size_t n = columns) {
  row x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = at(i);
  return x;
}

/// Rows that quantisers get wrong, by name.
std::vector<std::pair<std::string, row>> hard_rows() {
  numbers n(3);
  return {
      {"random", filled([&](std::size_t) { return 0.02f * n.bell(); })},
      {"uniform", filled([&](std::size_t) { return n.next(); })},
      {"zeros", filled([](std::size_t) { return 0.0f; })},
      {"ones", filled([](std::size_t) { return 1.0f; })},
      {"minus a third", filled([](std::size_t) { return -1.0f / 3; })},
      {"negative only", filled([&](std::size_t) { return -0.01f - 0.02f * std::abs(n.bell()); })},
      {"positive only", filled([&](std::size_t) { return 0.01f + 0.02f * std::abs(n.bell()); })},
      {"far from zero", filled([&](std::size_t) { return 100 + n.next(); })},
      {"one outlier", filled([&](std::size_t i) { return i == 77 ? 30.0f : 0.02f * n.bell(); })},
      {"an outlier among zeros", filled([&](std::size_t i) { return i == 300 ? -5.0f : 0.0f; })},
      {"two signs, one size", filled([&](std::size_t i) { return i % 3 == 0 ? 0.5f : -0.5f; })},
      {"sub-blocks of different sizes",
       filled([&](std::size_t i) { return std::ldexp(n.bell(), -static_cast<int>(i / 16)); })},
      {"small", filled([&](std::size_t) { return 1e-5f * n.bell(); })},
      {"smaller than any half", filled([&](std::size_t) { return 1e-9f * n.bell(); })},
      {"subnormal floats", filled([&](std::size_t) { return 1e-41f * n.bell(); })},
      {"large", filled([&](std::size_t) { return 6e4f * n.next(); })},
      {"the largest of all", filled([&](std::size_t i) { return i % 2 == 0 ? 458528.0f : -458528.0f; })},
      {"negative zeros", filled([](std::size_t) { return -0.0f; })},
  };
}

row read_back(storage s, const row& x, const float* importance = nullptr) {
  std::vector<std::byte> bytes(g4::row_bytes(s, x.size()), std::byte{0xaa});
  EXPECT_TRUE(g4::quantise(s, x.data(), x.size(), bytes.data(), importance));
  row y(x.size());
  g4::dequantise(s, bytes.data(), x.size(), y.data());
  return y;
}

double squared_error(const row& x, const row& y, const row& weight = {}) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double e = static_cast<double>(y[i]) - static_cast<double>(x[i]);
    sum += e * e * (weight.empty() ? 1.0 : static_cast<double>(weight[i]));
  }
  return sum;
}

float half(float x) { return g4::float_from_f16(g4::f16_from_float(x)); }
float level(float x, float least, float most) { return std::clamp(std::nearbyint(x), least, most); }
float divided(float x, float y) { return y == 0 ? 0 : x / y; }

/// The first thing anybody would write: the largest number takes the last level.
row plain(storage s, const row& x) {
  row y(x.size());
  const auto symmetric = [&](std::size_t at, std::size_t n, float step, float least, float most) {
    for (std::size_t i = at; i < at + n; ++i) y[i] = step * level(divided(x[i], step), least, most);
  };
  const auto largest = [&](std::size_t at, std::size_t n) {
    float m = 0;
    for (std::size_t i = at; i < at + n; ++i) m = std::abs(x[i]) > std::abs(m) ? x[i] : m;
    return m;
  };
  for (std::size_t at = 0; s != storage::q4_k && s != storage::q6_k && at < x.size(); at += 32) {
    if (s == storage::q4_0) symmetric(at, 32, half(largest(at, 32) / -8), -8, 7);
    if (s == storage::q5_0) symmetric(at, 32, half(largest(at, 32) / -16), -16, 15);
    if (s == storage::q8_0) symmetric(at, 32, half(std::abs(largest(at, 32)) / 127), -127, 127);
  }
  for (std::size_t at = 0; s == storage::q6_k && at < x.size(); at += 256) {
    float most = 0;
    for (std::size_t j = 0; j < 16; ++j) most = std::max(most, std::abs(largest(at + 16 * j, 16)) / 32);
    const float d = half(most / 127);
    for (std::size_t j = 0; j < 16; ++j) {
      const float step = largest(at + 16 * j, 16) / -32;
      symmetric(at + 16 * j, 16, d * level(divided(step, d), -127, 127), -32, 31);
    }
  }
  for (std::size_t at = 0; s == storage::q4_k && at < x.size(); at += 256) {
    float step[8], offset[8], d = 0, dmin = 0;
    for (std::size_t j = 0; j < 8; ++j) {
      const auto first = x.begin() + static_cast<std::ptrdiff_t>(at + 32 * j);
      const float low = std::min(0.0f, *std::min_element(first, first + 32));
      step[j] = (*std::max_element(first, first + 32) - low) / 15;
      offset[j] = -low;
      d = std::max(d, step[j] / 63);
      dmin = std::max(dmin, offset[j] / 63);
    }
    for (std::size_t i = 0; i < 256; ++i) {
      const float a = half(d) * level(divided(step[i / 32], half(d)), 0, 63);
      const float b = half(dmin) * level(divided(offset[i / 32], half(dmin)), 0, 63);
      y[at + i] = a * level(divided(x[at + i] + b, a), 0, 15) - b;
    }
  }
  return y;
}

TEST(quantise, no_hard_row_worse_than_the_plain_choice) {
  for (const storage s : blocks) {
    for (const auto& [name, x] : hard_rows()) {
      const double found = squared_error(x, read_back(s, x));
      const double wanted = squared_error(x, plain(s, x));
      // Errors are compared in float32.
      EXPECT_LE(found, wanted * (1 + 1e-4)) << g4::facts_of(s).name << ", " << name;
    }
  }
}

TEST(quantise, no_random_row_worse_than_the_plain_choice) {
  numbers n(11);
  for (int i = 0; i < 200; ++i) {
    const float spread = std::exp(3 * n.next());
    const float shift = i % 4 == 0 ? 2 * n.next() * spread : 0;
    const row x =
        filled([&](std::size_t) { return shift + spread * n.bell() * (i % 3 == 0 ? n.next() * n.next() : 1); });
    for (const storage s : blocks) {
      EXPECT_LE(squared_error(x, read_back(s, x)), squared_error(x, plain(s, x)) * (1 + 1e-4))
          << g4::facts_of(s).name << ", row " << i;
    }
  }
}

/// Root of Σe² / Σx² over bell-shaped weights.
double relative_error(storage s) {
  numbers n(5);
  double errors = 0;
  double squares = 0;
  for (int i = 0; i < 100; ++i) {
    const row x = filled([&](std::size_t) { return 0.03f * n.bell(); });
    errors += squared_error(x, read_back(s, x));
    squares += squared_error(x, row(x.size()));
  }
  return std::sqrt(errors / squares);
}

TEST(quantise, the_error_of_bell_shaped_weights_within_bounds) {
  // What the block can hold at best is a little below each bound; the plain choice lies 10 to 25 % above those of 4 bits.
  EXPECT_LT(relative_error(storage::bf16), 0.0018);
  EXPECT_LT(relative_error(storage::q8_0), 0.0055);
  EXPECT_LT(relative_error(storage::q6_k), 0.0165);
  EXPECT_LT(relative_error(storage::q5_0), 0.041);
  EXPECT_LT(relative_error(storage::q4_k), 0.070);
  EXPECT_LT(relative_error(storage::q4_0), 0.082);
}

TEST(quantise, numbers_the_block_can_hold_exactly) {
  for (const storage s : blocks) {
    EXPECT_EQ(read_back(s, row(columns, 0.0f)), row(columns, 0.0f)) << g4::facts_of(s).name;
    // One number throughout is off by no more than the rounding of a half.
    for (const float y : read_back(s, row(columns, -2.0f))) ASSERT_NEAR(y, -2, 0x1p-10) << g4::facts_of(s).name;
  }
  numbers n(1);
  const row q4 = filled([&](std::size_t i) { return i % 32 == 0 ? -4.0f : 0.5f * level(7 * n.next(), -7, 7); });
  EXPECT_EQ(read_back(storage::q4_0, q4), q4);
  const row q8 = filled([&](std::size_t i) { return i % 32 == 0 ? -127.0f : level(127 * n.next(), -127, 127); });
  EXPECT_EQ(read_back(storage::q8_0, q8), q8);
}

TEST(quantise, what_was_read_back_is_quantised_to_nearly_the_same) {
  numbers n(2);
  const row x = filled([&](std::size_t) { return 0.1f * n.bell(); });
  for (const storage s : blocks) {
    const row once = read_back(s, x);
    const double again = squared_error(once, read_back(s, once));
    EXPECT_LE(again, 0.02 * squared_error(x, once)) << g4::facts_of(s).name;
  }
}

TEST(quantise, an_outlier_spoils_only_its_own_block) {
  numbers n(4);
  row x = filled([&](std::size_t) { return 0.02f * n.bell(); });
  for (const storage s : blocks) {
    const std::size_t block = g4::facts_of(s).block_elements;
    const row before = read_back(s, x);
    row spoilt = x;
    spoilt[block + 3] = 1000;
    const row after = read_back(s, spoilt);
    for (std::size_t i = 0; i < block; ++i) ASSERT_EQ(before[i], after[i]) << g4::facts_of(s).name;
    EXPECT_NEAR(after[block + 3], 1000, 20) << g4::facts_of(s).name;
  }
}

TEST(quantise, more_exact_where_it_matters_more) {
  numbers n(6);
  const row x = filled([&](std::size_t) { return n.bell(); });
  const row importance = filled([](std::size_t i) { return i % 8 == 0 ? 100.0f : 0.1f; });
  for (const storage s : {storage::q4_0, storage::q4_k, storage::q6_k}) {
    EXPECT_LT(squared_error(x, read_back(s, x, importance.data()), importance),
              0.9 * squared_error(x, read_back(s, x), importance))
        << g4::facts_of(s).name;
  }
}

TEST(quantise, importance_of_nil_everywhere_still_sound) {
  const row x = filled([](std::size_t i) { return static_cast<float>(i % 7) - 3; });
  const row nil(columns, 0.0f);
  for (const storage s : blocks) {
    for (const float y : read_back(s, x, nil.data())) EXPECT_TRUE(std::isfinite(y)) << g4::facts_of(s).name;
  }
}

TEST(quantise, plain_floats_rounded_to_nearest) {
  const row x{0, -0.0f, 1, 1.0009765f, -65504, 3e-6f, 0.1f};
  const row f16 = read_back(storage::f16, x);
  const row bf16 = read_back(storage::bf16, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(f16[i], half(x[i]));
    EXPECT_EQ(bf16[i], g4::float_from_bf16(g4::bf16_from_float(x[i])));
  }
  EXPECT_EQ(read_back(storage::f32, x), x);
}

TEST(quantise, what_no_storage_can_hold_refused) {
  std::vector<std::byte> out(columns * 4);
  for (const storage s : {storage::f32, storage::f16, storage::bf16, storage::q4_0, storage::q5_0, storage::q8_0,
                          storage::q4_k, storage::q6_k}) {
    for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
      for (const std::size_t place : {std::size_t{0}, std::size_t{300}, columns - 1}) {
        row x(columns, 1.0f);
        x[place] = bad;
        EXPECT_FALSE(g4::quantise(s, x.data(), columns, out.data())) << g4::facts_of(s).name;
      }
    }
    const float most = g4::most_of(s);
    EXPECT_TRUE(g4::quantise(s, row(columns, -most).data(), columns, out.data())) << g4::facts_of(s).name;
    if (s == storage::f32) continue;
    EXPECT_FALSE(g4::quantise(s, row(columns, 1.01f * most).data(), columns, out.data())) << g4::facts_of(s).name;
  }
}

TEST(quantise, the_largest_number_of_a_storage_held) {
  for (const storage s : blocks) {
    const float most = g4::most_of(s);
    for (const float x : {most, -most}) {
      const row y = read_back(s, row(columns, x));
      for (const float v : y) ASSERT_NEAR(v, x, 0.01f * most) << g4::facts_of(s).name;
    }
  }
}

TEST(quantise, storages_nobody_makes_refused) {
  const row x(columns, 1.0f);
  std::vector<std::byte> out(columns * 8);
  for (const storage s : {storage::f64, storage::q4_1, storage::q5_1, storage::q5_k}) {
    EXPECT_FALSE(g4::quantise(s, x.data(), columns, out.data())) << g4::facts_of(s).name;
  }
}

}  // namespace
