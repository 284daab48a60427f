#include "tests/kernels/helpers.h"

#include "g4/backend/cpu.h"
#include "g4/backend/reference.h"
#include "g4/ops/attend.h"

namespace g4::test {
namespace {

struct setting {
  std::size_t d, heads, kv_heads, slots, tokens;
  std::int64_t at;      // position of the first query
  std::int64_t window;  // 0: all
  float soft_cap = 0;
  std::int64_t ahead = 0;  // keys after the query that it also sees
};

// A cache in memory of exactly its size.
struct stored_cache {
  exact_bytes keys, values;
  cache_view view;

  stored_cache(storage type, std::size_t heads, std::size_t slots, std::size_t d)
      : keys(cached_bytes(type, heads, slots, d)), values(keys.size()), view{keys.data(), values.data(), slots, heads,
                                                                             d,           type} {}
};

// What is left of a number's precision: the keys and values are normal, the scores about 0.7 from nought.
constexpr double limit_of(storage type) { return type == storage::i16 ? 5e-4 : type == storage::q8_0 ? 2.5e-2 : 2e-6; }

// A ring cache filled with the positions that fit, queries, and what each may see.
struct scene {
  std::vector<float> keys, values, query;
  std::vector<key_range> ranges;
  setting s;

  explicit scene(const setting& choice) : s(choice) {
    keys = random_floats(s.kv_heads * s.slots * s.d, 21);
    values = random_floats(s.kv_heads * s.slots * s.d, 22);
    query = random_floats(s.tokens * s.heads * s.d, 23);
    for (std::size_t t = 0; t < s.tokens; ++t) {
      const std::int64_t p = s.at + static_cast<std::int64_t>(t);
      const std::int64_t first = s.window == 0 ? 0 : std::max<std::int64_t>(0, p - s.window + 1);
      ranges.push_back({position{first}, position{p + 1 + s.ahead}});
    }
  }
  /// The same keys and values as `on` stores them.
  template <class B>
  [[nodiscard]] stored_cache cache(B& on, storage type = storage::f32) const {
    stored_cache out(type, s.kv_heads, s.slots, s.d);
    std::vector<float> key(s.kv_heads * s.d), value(key.size());
    for (std::size_t p = 0; p < s.slots; ++p) {
      for (std::size_t h = 0; h < s.kv_heads; ++h) {
        std::copy_n(keys.data() + (h * s.slots + p) * s.d, s.d, key.data() + h * s.d);
        std::copy_n(values.data() + (h * s.slots + p) * s.d, s.d, value.data() + h * s.d);
      }
      on.store(out.view, key.data(), value.data(), 1, position{static_cast<std::int64_t>(p)});
    }
    return out;
  }
  [[nodiscard]] attention_call<float> call(std::vector<float>& out) const {
    return {query.data(), ranges.data(), out.data(), s.tokens, s.heads, 0.7f / std::sqrt(static_cast<float>(s.d)),
            s.soft_cap};
  }
  [[nodiscard]] std::vector<double> expected() const {
    std::vector<double> k(keys.begin(), keys.end()), v(values.begin(), values.end()), q(query.begin(), query.end());
    std::vector<double> out(q.size()), scores;
    const cache_view cache{reinterpret_cast<std::byte*>(k.data()),
                           reinterpret_cast<std::byte*>(v.data()),
                           s.slots,
                           s.kv_heads,
                           s.d,
                           storage::f64};
    ops::attend(cache,
                attention_call<double>{q.data(), ranges.data(), out.data(), s.tokens, s.heads,
                                       0.7f / std::sqrt(static_cast<float>(s.d)), s.soft_cap},
                scores);
    return out;
  }
};

void check(const setting& s) {
  SCOPED_TRACE("d " + std::to_string(s.d) + ", heads " + std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) +
               ", slots " + std::to_string(s.slots) + ", tokens " + std::to_string(s.tokens));
  scene scene(s);
  const std::vector<double> expected = scene.expected();
  for_each_target([&] {
    for (const storage type : {storage::f32, storage::i16, storage::q8_0}) {
      if (row_bytes(type, s.d) == 0) continue;
      SCOPED_TRACE(facts_of(type).name);
      backend::cpu on;
      const stored_cache cache = scene.cache(on, type);
      std::vector<float> out(scene.query.size(), 1e9f);
      on.attend(cache.view, scene.call(out));
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(out[i]), expected[i], limit_of(type)) << "at " << i;
      }
    }
  });
}

}  // namespace

TEST(attend, any_head_size) {
  for (const std::size_t d : {1u, 10u, 12u, 16u, 24u, 40u, 64u, 72u, 256u, 512u}) {
    check({d, 4, 1, 300, 1, 200, 0});
    check({d, 6, 2, 150, 5, 90, 0});
  }
}

TEST(attend, group_sizes_and_token_counts) {
  for (const std::size_t heads : {1u, 3u, 8u, 17u, 32u}) {
    for (const std::size_t tokens : {1u, 2u, 19u}) check({20, heads, 1, 120, tokens, 70, 0});
  }
  check({16, 6, 6, 64, 3, 10, 0});
}

TEST(attend, a_sliding_window_across_the_seam_of_its_ring) {
  for (const std::int64_t at : {0, 31, 63, 64, 65, 127, 1000}) {
    check({24, 4, 2, 83, 20, at, 64});
    check({24, 4, 2, 64, 1, at, 64});
  }
}

TEST(attend, soft_capped_scores) { check({32, 4, 2, 200, 3, 150, 0, 2.0f}); }

TEST(attend, keys_ahead_of_the_query) { check({32, 4, 2, 200, 9, 0, 0, 0.0f, 13}); }

TEST(attend, a_query_that_sees_nothing_gives_nought) {
  scene scene({16, 2, 1, 40, 2, 5, 0});
  scene.ranges[1] = {position{3}, position{3}};
  std::vector<float> out(scene.query.size(), 1e9f);
  for_each_target([&] {
    backend::cpu on;
    const stored_cache cache = scene.cache(on);
    on.attend(cache.view, scene.call(out));
    for (std::size_t i = 32; i < 64; ++i) ASSERT_EQ(out[i], 0.0f);
    ASSERT_TRUE(std::isfinite(out[0]));
  });
}

TEST(attend, blocks_of_keys_and_the_seam_inside_one) {
  for (const std::int64_t at : {254, 255, 256, 257, 511, 512, 513, 1023, 1500}) {
    check({32, 4, 1, 1600, 3, at, 0});
    check({32, 4, 1, 530, 2, at, 512});
  }
}

// Error budget of Q8_0: a score is off by at most scale · Σ|q|·|δk| ≤ scale · |q|₁ · step/2, and weights of scores off by
// at most e are off by a factor within exp(±2e); a value is off by half a step. The kernel stays within that, and agrees
// far closer with the definition on the same cache.
TEST(attend, a_cache_in_q8_0_within_its_budget) {
  scene scene({256, 4, 1, 300, 2, 290, 0});
  const std::vector<double> expected = scene.expected();
  const double scale = 0.7 / 16;
  const auto largest = [](const float* x, std::size_t n) {
    double most = 0;
    for (std::size_t i = 0; i < n; ++i) most = std::max(most, std::abs(static_cast<double>(x[i])));
    return most;
  };
  const double key_error =
      largest(scene.keys.data(), scene.keys.size()) / 127 * 0.56;  // d itself is rounded to 11 bits
  const double top_value = largest(scene.values.data(), scene.values.size());
  backend::reference<float> definition;
  const stored_cache from_definition = scene.cache(definition, storage::q8_0);
  std::vector<float> defined(scene.query.size());
  definition.attend(from_definition.view, scene.call(defined));
  for_each_target([&] {
    backend::cpu on;
    const stored_cache cache = scene.cache(on, storage::q8_0);
    std::vector<float> out(scene.query.size());
    on.attend(cache.view, scene.call(out));
    for (std::size_t i = 0; i < out.size(); ++i) {
      double sum = 0;
      for (std::size_t j = i / 256 * 256; j < i / 256 * 256 + 256; ++j)
        sum += std::abs(static_cast<double>(scene.query[j]));
      const double weights = std::exp(2 * scale * sum * key_error) - 1;
      ASSERT_NEAR(static_cast<double>(out[i]), expected[i], top_value * weights + top_value / 127 * 0.56) << i;
      ASSERT_NEAR(out[i], defined[i], 1e-5f) << i;
    }
  });
}

// With 16-bit levels a row's length sets its step: rows of one large number, of equal numbers, and of nothing.
TEST(attend, rows_of_any_shape_in_16_bits) {
  scene scene({512, 4, 1, 8, 1, 7, 0});
  for (std::size_t p = 0; p < 8; ++p) {
    for (std::size_t i = 0; i < 512; ++i) {
      const bool one = p % 4 == 0;
      scene.keys[p * 512 + i] = p == 3 ? 0.0f : one ? (i == 5 ? 1e3f : 0.0f) : p % 4 == 1 ? 0.5f : -1e-3f;
      scene.values[p * 512 + i] = p == 2 ? 0.0f : one ? (i == 9 ? 30.0f : 0.1f) : 1.0f;
      if (p == 0) scene.query[i] = 0.5f, scene.query[512 + i] = i == 5 ? -0.02f : 0.0f, scene.query[1024 + i] = 0.0f;
    }
  }
  const std::vector<double> expected = scene.expected();
  for_each_target([&] {
    backend::cpu on;
    const stored_cache cache = scene.cache(on, storage::i16);
    std::vector<float> out(scene.query.size());
    on.attend(cache.view, scene.call(out));
    // A value's step is a 8191st of its row's largest number; weights add as much again.
    for (std::size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(static_cast<double>(out[i]), expected[i], 30.0 / 8191) << i;
  });
}

TEST(attend, the_same_bits_for_a_token_alone_and_among_others_and_for_any_pool) {
  thread_pool threads(3);
  const auto same = [&](const setting& s, storage type) {
    scene scene(s);
    for_each_target([&] {
      backend::cpu on;
      backend::cpu many({backend::numeric::exact, &threads});
      const stored_cache cache = scene.cache(on, type);
      std::vector<float> together(scene.query.size()), alone(scene.query.size()), pooled(scene.query.size());
      on.attend(cache.view, scene.call(together));
      many.attend(cache.view, scene.call(pooled));
      EXPECT_EQ(together, pooled);
      for (std::size_t t = 0; t < s.tokens; ++t) {
        attention_call<float> one = scene.call(alone);
        one.query += t * s.heads * s.d;
        one.out += t * s.heads * s.d;
        one.keys += t;
        one.tokens = 1;
        (t % 2 == 0 ? on : many).attend(cache.view, one);
      }
      EXPECT_EQ(together, alone);
    });
  };
  for (const storage type : {storage::f32, storage::i16, storage::q8_0}) {
    same({64, 8, 2, 97, 21, 150, 60}, type);
    same({32, 4, 1, 1100, 6, 1000, 0}, type);  // five blocks of keys, each its own task
    same({32, 4, 1, 600, 5, 2000, 512}, type);
  }
}

}  // namespace g4::test
