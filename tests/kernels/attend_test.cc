#include "tests/kernels/helpers.h"

#include "g4/backend/cpu.h"
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
  [[nodiscard]] cache_view cache() {
    return {reinterpret_cast<std::byte*>(keys.data()), reinterpret_cast<std::byte*>(values.data()), s.slots, s.kv_heads,
            s.d, storage::f32};
  }
  [[nodiscard]] attention_call<float> call(std::vector<float>& out) const {
    return {query.data(), ranges.data(), out.data(), s.tokens, s.heads, 0.7f / std::sqrt(static_cast<float>(s.d)),
            s.soft_cap};
  }
  [[nodiscard]] std::vector<double> expected() const {
    std::vector<double> k(keys.begin(), keys.end()), v(values.begin(), values.end()), q(query.begin(), query.end());
    std::vector<double> out(q.size()), scores;
    const cache_view cache{reinterpret_cast<std::byte*>(k.data()), reinterpret_cast<std::byte*>(v.data()), s.slots,
                           s.kv_heads, s.d, storage::f64};
    ops::attend(cache, attention_call<double>{q.data(), ranges.data(), out.data(), s.tokens, s.heads,
                                              0.7f / std::sqrt(static_cast<float>(s.d)), s.soft_cap}, scores);
    return out;
  }
};

void check(const setting& s) {
  SCOPED_TRACE("d " + std::to_string(s.d) + ", heads " + std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) +
               ", slots " + std::to_string(s.slots) + ", tokens " + std::to_string(s.tokens));
  scene scene(s);
  const std::vector<double> expected = scene.expected();
  for_each_target([&] {
    backend::cpu on;
    std::vector<float> out(scene.query.size(), 1e9f);
    on.attend(scene.cache(), scene.call(out));
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(static_cast<double>(out[i]), expected[i], 2e-6) << "at " << i;
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
    on.attend(scene.cache(), scene.call(out));
    for (std::size_t i = 32; i < 64; ++i) ASSERT_EQ(out[i], 0.0f);
    ASSERT_TRUE(std::isfinite(out[0]));
  });
}

TEST(attend, the_same_bits_for_a_token_alone_and_among_others_and_for_any_pool) {
  scene scene({40, 8, 2, 97, 21, 150, 60});
  thread_pool threads(3);
  for_each_target([&] {
    backend::cpu on;
    backend::cpu many({backend::numeric::exact, &threads});
    std::vector<float> together(scene.query.size()), alone(scene.query.size()), pooled(scene.query.size());
    on.attend(scene.cache(), scene.call(together));
    many.attend(scene.cache(), scene.call(pooled));
    EXPECT_EQ(together, pooled);
    for (std::size_t t = 0; t < 21; ++t) {
      attention_call<float> one = scene.call(alone);
      one.query += t * 320;
      one.out += t * 320;
      one.keys += t;
      one.tokens = 1;
      (t % 2 == 0 ? on : many).attend(scene.cache(), one);
    }
    EXPECT_EQ(together, alone);
  });
}

}  // namespace g4::test
