#include "tests/kernels/helpers.h"

#include "g4/backend/cpu.h"
#include "g4/ops/gate.h"
#include "g4/ops/plane.h"
#include "g4/ops/rms_norm.h"
#include "g4/ops/rope.h"

namespace g4::test {
namespace {

}  // namespace

TEST(rms_norm, rows_of_any_width) {
  for (const std::size_t width : {1u, 3u, 10u, 16u, 100u, 256u, 640u, 1001u}) {
    const std::vector<float> x = random_floats(3 * width, 5, 3.0f);
    const std::vector<float> scale = random_floats(width, 6);
    for (const float* s : {scale.data(), static_cast<const float*>(nullptr)}) {
      std::vector<double> expected(3 * width);
      ops::rms_norm(doubles(x).data(), s, 3, width, 1e-6f, expected.data());
      for_each_target([&] {
        backend::cpu on;
        std::vector<float> y(3 * width);
        on.rms_norm(x.data(), s, 3, width, 1e-6f, y.data());
        expect_near(y, expected, 5e-7);
        std::vector<float> in_place = x;
        on.rms_norm(in_place.data(), s, 3, width, 1e-6f, in_place.data());
        EXPECT_EQ(in_place, y);
      });
    }
  }
}

TEST(add_norm, the_residual_plus_the_normalised_delta) {
  for (const std::size_t width : {7u, 64u, 641u}) {
    const std::vector<float> x = random_floats(2 * width, 7), delta = random_floats(2 * width, 8);
    const std::vector<float> scale = random_floats(width, 9);
    std::vector<double> expected(2 * width);
    ops::rms_norm(doubles(delta).data(), scale.data(), 2, width, 1e-6f, expected.data());
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += static_cast<double>(x[i]);
    for_each_target([&] {
      backend::cpu on;
      std::vector<float> y = x, d = delta;
      on.add_norm(y.data(), d.data(), scale.data(), 2, width, 1e-6f);
      expect_near(y, expected, 5e-7);
    });
  }
}

TEST(rope, heads_of_any_even_size) {
  for (const std::size_t d : {2u, 10u, 12u, 24u, 40u, 72u, 256u, 512u}) {
    const std::size_t tokens = 3, heads = 5;
    const std::vector<float> x = random_floats(tokens * heads * d, 10);
    const std::vector<float> angle = random_floats(tokens * d / 2, 11, 3.0f);
    std::vector<float> cos(angle.size()), sin(angle.size());
    for (std::size_t i = 0; i < angle.size(); ++i) cos[i] = std::cos(angle[i]), sin[i] = std::sin(angle[i]);
    std::vector<double> expected = doubles(x);
    ops::rope(expected.data(), tokens, heads, d, doubles(cos).data(), doubles(sin).data());
    for_each_target([&] {
      backend::cpu on;
      std::vector<float> y = x;
      on.rope(y.data(), tokens, heads, d, cos.data(), sin.data());
      expect_near(y, expected, 3e-7);
    });
  }
}

TEST(depthwise, planes_of_any_size) {
  for (const ops::plane& p : {ops::plane{7, 5, 3, 3, 2}, ops::plane{4, 6, 40, 5, 1}, ops::plane{1, 3, 129, 5, 2}}) {
    const std::vector<float> x = random_floats(p.height * p.width * p.channels, 21);
    const std::vector<float> kernel = random_floats(p.numbers(), 22);
    std::vector<double> expected(p.rows() * p.columns() * p.channels);
    ops::depthwise(doubles(x).data(), kernel.data(), p, 0, p.rows(), expected.data());
    for_each_target([&] {
      backend::cpu on;
      std::vector<float> y(expected.size());
      on.depthwise(x.data(), kernel.data(), p, y.data());
      expect_near(y, expected, 2e-6);
    });
  }
}

TEST(gelu_gate, relative_accuracy_also_where_tanh_cancels) {
  std::vector<float> gate, up;
  for (float v = -9.0f; v < 9.0f; v += 0.0137f) gate.push_back(v), up.push_back(1.0f - v / 3);
  for (const float v : {-1e30f, -100.0f, -0.0f, 0.0f, 1e-30f, 100.0f, 1e30f}) gate.push_back(v), up.push_back(1.0f);
  for_each_target([&] {
    backend::cpu on;
    std::vector<float> y = gate;
    y.shrink_to_fit();
    on.gelu_gate(y.data(), up.data(), y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      const long double g = gate[i];
      const long double u = 0.79788456080286535588L * (g + static_cast<long double>(0.044715) * g * g * g);
      const double expected = static_cast<double>(g / (1 + std::exp(-2 * u)) * static_cast<long double>(up[i]));
      // exp's argument −2u is rounded to float32, which costs |2u| half-units.
      const double limit = 2e-7 * (2 + std::min(90.0, std::abs(static_cast<double>(2 * u))));
      ASSERT_NEAR(static_cast<double>(y[i]), expected, limit * std::abs(expected) + 1e-36) << gate[i];
      ASSERT_NEAR(static_cast<double>(y[i]), ops::gelu_tanh(static_cast<double>(gate[i])) * static_cast<double>(up[i]),
                  3e-7 * std::abs(static_cast<double>(gate[i] * up[i])) + 1e-36);
    }
  });
}

TEST(soft_cap, close_to_the_definition) {
  std::vector<float> x;
  for (float v = -200.0f; v < 200.0f; v += 0.371f) x.push_back(v);
  x.insert(x.end(), {1e-20f, -1e-20f, 1e30f, -1e30f});
  x.shrink_to_fit();
  for_each_target([&] {
    backend::cpu on;
    std::vector<float> y = x;
    on.soft_cap(y.data(), y.size(), 30.0f);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double expected = 30.0 * std::tanh(static_cast<double>(x[i]) / 30.0);
      ASSERT_NEAR(static_cast<double>(y[i]), expected, 6e-7 * std::abs(expected) + 1e-30) << x[i];
    }
  });
}

TEST(elementwise, the_same_bits_for_one_thread_and_many) {
  thread_pool threads(2);
  backend::cpu alone;
  backend::cpu together({backend::numeric::exact, &threads});
  const std::size_t n = 100'003;
  std::vector<float> a = random_floats(n, 12), b = a;
  const std::vector<float> up = random_floats(n, 13);
  alone.gelu_gate(a.data(), up.data(), n);
  together.gelu_gate(b.data(), up.data(), n);
  EXPECT_EQ(a, b);
  alone.soft_cap(a.data(), n, 5.0f);
  together.soft_cap(b.data(), n, 5.0f);
  EXPECT_EQ(a, b);
}

}  // namespace g4::test
