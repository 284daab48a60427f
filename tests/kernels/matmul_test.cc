#include "tests/kernels/helpers.h"

#include "g4/backend/cpu.h"

namespace g4::test {
namespace {

struct shape {
  std::size_t rows, columns, tokens;
};

void check_exact(const shape s, storage type) {
  SCOPED_TRACE(std::string(facts_of(type).name) + " [" + std::to_string(s.rows) + ", " + std::to_string(s.columns) +
               "] x " + std::to_string(s.tokens));
  const random_matrix w(type, s.rows, s.columns);
  const std::vector<float> x = random_floats(s.tokens * s.columns, 2);
  for_each_target([&] {
    backend::cpu on;
    std::vector<float> y(s.tokens * s.rows, 1e9f);
    on.matmul(w.view, x.data(), s.tokens, y.data());
    expect_products(w, x, y, 4e-7);
  });
}

}  // namespace

TEST(matmul, float32_rounding_for_every_storage) {
  for (const storage type : all_storages) {
    for (const std::size_t tokens : {1u, 2u, 4u, 7u}) {
      check_exact({7, 512, tokens}, type);
      check_exact({33, 256, tokens}, type);
    }
  }
}

TEST(matmul, odd_rows_and_columns) {
  for (const storage type : {storage::f32, storage::f16, storage::bf16}) {
    for (const std::size_t tokens : {1u, 5u}) {
      check_exact({257, 100, tokens}, type);
      check_exact({3, 1, tokens}, type);
      check_exact({1, 17, tokens}, type);
      check_exact({5, 300, tokens}, type);
    }
  }
  for (const storage type : {storage::q4_0, storage::q4_1, storage::q5_0, storage::q5_1, storage::q8_0}) {
    for (const std::size_t tokens : {1u, 5u}) check_exact({257, 96, tokens}, type);
  }
}

TEST(matmul, the_same_bits_for_a_token_alone_and_among_others) {
  for (const storage type : all_storages) {
    const random_matrix w(type, 9, 768);
    const std::vector<float> x = random_floats(9 * 768, 3);
    for_each_target([&] {
      backend::cpu on;
      std::vector<float> together(9 * 9), alone(9);
      on.matmul(w.view, x.data(), 9, together.data());
      for (std::size_t t = 0; t < 9; ++t) {
        on.matmul(w.view, x.data() + t * 768, 1, alone.data());
        for (std::size_t r = 0; r < 9; ++r) ASSERT_EQ(alone[r], together[t * 9 + r]);
      }
    });
  }
}

TEST(matmul, the_same_bits_for_one_thread_and_many) {
  thread_pool threads(3);
  for (const storage type : all_storages) {
    const random_matrix w(type, 1030, 512);
    const std::vector<float> x = random_floats(5 * 512, 3);
    for (const std::size_t tokens : {1u, 5u}) {
      std::vector<float> one(tokens * 1030), many(tokens * 1030);
      backend::cpu alone;
      backend::cpu together({backend::numeric::exact, &threads});
      alone.matmul(w.view, x.data(), tokens, one.data());
      together.matmul(w.view, x.data(), tokens, many.data());
      EXPECT_EQ(one, many);
    }
  }
}

TEST(embed, a_scaled_row_of_every_storage) {
  for (const storage type : all_storages) {
    const random_matrix table(type, 5, 512);
    for_each_target([&] {
      backend::cpu on;
      std::vector<float> y(512);
      on.embed(table.view, 4, 25.25f, y.data());
      const std::vector<float> row = table.row(4);
      for (std::size_t i = 0; i < 512; ++i) {
        ASSERT_NEAR(y[i], row[i] * 25.25f, 3e-7f * (std::abs(row[i] * 25.25f) + 1.0f))
            << facts_of(type).name << " " << i;
      }
    });
  }
}

}  // namespace g4::test
