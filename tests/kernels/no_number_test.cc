// A NaN or an infinity, wherever it comes from, is still to be seen in what is computed from it.
#include "tests/kernels/helpers.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "g4/backend/cpu.h"
#include "g4/tensor/cache.h"

namespace g4::test {
namespace {

constexpr float no_numbers[] = {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
constexpr backend::numeric modes[] = {backend::numeric::exact, backend::numeric::fast, backend::numeric::fast8};

bool none_finite(const float* y, std::size_t n) {
  return std::none_of(y, y + n, [](float v) { return std::isfinite(v); });
}
bool all_finite(const float* y, std::size_t n) {
  return std::all_of(y, y + n, [](float v) { return std::isfinite(v); });
}

}  // namespace

TEST(no_number, every_product_of_its_row_and_of_no_other) {
  for (const storage type : all_storages) {
    SCOPED_TRACE(facts_of(type).name);
    const random_matrix w(type, 21, 512);
    for_each_target([&] {
      for (const backend::numeric mode : modes) {
        backend::cpu on({mode, nullptr, backend::weights_move::at_load});
        panel_store store;
        const weight_view weight = *on.prepare(w.view, store);
        for (const std::size_t tokens : {1u, 3u, 18u}) {
          for (const float bad : no_numbers) {
            for (const std::size_t place : {std::size_t{0}, std::size_t{37}, std::size_t{511}}) {
              std::vector<float> x = random_floats(tokens * 512, 3), y(tokens * 21);
              x[(tokens - 1) * 512 + place] = bad;
              on.matmul(weight, x.data(), tokens, y.data());
              ASSERT_TRUE(none_finite(y.data() + (tokens - 1) * 21, 21)) << tokens << " tokens, " << bad;
              ASSERT_TRUE(all_finite(y.data(), (tokens - 1) * 21));
            }
          }
        }
      }
    });
  }
}

TEST(no_number, the_greatest_products) {
  const random_matrix w(storage::q8_0, 16 * 20, 64);
  panel_store store;
  backend::cpu on({backend::numeric::fast, nullptr, backend::weights_move::at_load});
  const weight_view head = *on.prepare(w.view, store, {}, weight_use::head);
  std::vector<float> x = random_floats(64, 4), y(w.view.rows);
  std::vector<std::int32_t> guess;
  on.best_products(head, x.data(), 2, 0, y.data(), guess);
  on.best_products(head, x.data(), 2, 0, y.data(), guess);
  for (const float bad : no_numbers) {
    x[40] = bad;
    on.best_products(head, x.data(), 2, 0, y.data(), guess);
    EXPECT_TRUE(none_finite(y.data(), y.size())) << bad;
  }
}

TEST(no_number, what_an_attention_gives_wherever_it_lies) {
  constexpr std::size_t d = 64, keys = 300, heads = 4, key_heads = 2;
  thread_pool threads(2);
  for_each_target([&] {
    for (const storage type : {storage::f32, storage::i16, storage::q8_0}) {
      for (pool* over : {static_cast<pool*>(nullptr), static_cast<pool*>(&threads)}) {
        for (const float cap : {0.0f, 30.0f}) {
          for (const float bad : no_numbers) {
            for (const int where : {0, 1, 2}) {
              backend::cpu on({backend::numeric::fast, over});
              const std::size_t half = cached_bytes(type, key_heads, 512, d);
              std::vector<std::byte> memory(2 * half + 64);
              auto* at = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
              const cache_view cache{at, at + half, 512, key_heads, d, type};
              std::vector<float> k = random_floats(keys * key_heads * d, 5), v = random_floats(keys * key_heads * d, 6);
              std::vector<float> q = random_floats(heads * d, 7), out(heads * d);
              if (where == 0) q[d / 2] = bad;
              if (where == 1) k[(270 * key_heads) * d + 3] = bad;
              if (where == 2) v[(270 * key_heads) * d + 3] = bad;
              on.store(cache, k.data(), v.data(), keys, position{0});
              const key_range all{position{0}, position{keys}};
              on.attend(cache, {q.data(), &all, out.data(), 1, heads, 0.2f, cap});
              // Of the first query head at least, all of it; or of values in float32 the column it is in.
              const bool seen = std::any_of(out.begin(), out.begin() + d, [](float o) { return !std::isfinite(o); });
              ASSERT_TRUE(seen) << facts_of(type).name << ", " << where << ", cap " << cap << ", " << bad;
              ASSERT_TRUE(all_finite(out.data() + 2 * d, 2 * d));  // heads of the other keys
            }
          }
        }
      }
    }
  });
}

TEST(no_number, norms_gates_and_caps) {
  for_each_target([&] {
    backend::cpu on({backend::numeric::fast, nullptr});
    for (const float bad : no_numbers) {
      for (const std::size_t place : {std::size_t{0}, std::size_t{33}, std::size_t{66}}) {
        const auto with = [&](unsigned seed) {
          std::vector<float> x = random_floats(67, seed);
          x[place] = bad;
          return x;
        };
        std::vector<float> x = with(1), y(67);
        on.rms_norm(x.data(), nullptr, 1, 67, 1e-6f, y.data());
        EXPECT_FALSE(std::isfinite(y[place]));
        x = with(1);
        on.soft_cap(x.data(), 67, 30);
        EXPECT_FALSE(std::isfinite(x[place])) << bad;
        std::vector<float> up = with(2);
        x = random_floats(67, 3);
        on.gelu_gate(x.data(), up.data(), 67);
        EXPECT_FALSE(std::isfinite(x[place]));
        if (bad < 0) continue;  // an activation of −∞ may be nought
        x = with(1);
        up = random_floats(67, 3);
        on.gelu_gate(x.data(), up.data(), 67);
        EXPECT_FALSE(std::isfinite(x[place]));
      }
    }
  });
}

}  // namespace g4::test
