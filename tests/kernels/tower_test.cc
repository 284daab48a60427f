// What only towers use, on every SIMD target, beside its definition in float64; and plain floats in panels.
#include <limits>

#include "g4/backend/cpu.h"
#include "g4/ops/attend_all.h"
#include "g4/ops/attend_near.h"
#include "g4/ops/convolve.h"
#include "g4/ops/keep_within.h"
#include "g4/ops/layer_norm.h"
#include "g4/ops/matmul.h"
#include "g4/ops/rope.h"
#include "g4/ops/sigmoid.h"
#include "tests/kernels/helpers.h"

namespace g4::test {
namespace {

// ‖y − expected‖ / ‖expected‖
double error_of(const std::vector<float>& y, const std::vector<double>& expected) {
  double off = 0, all = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double by = static_cast<double>(y[i]) - expected[i];
    off += by * by;
    all += expected[i] * expected[i];
  }
  return std::sqrt(off / all);
}

template <class Scalar>
ops::all_attention<Scalar> everyone(std::size_t rows, std::size_t heads, std::size_t key_heads, std::size_t d,
                                    const std::vector<Scalar>& q, const std::vector<Scalar>& k,
                                    const std::vector<Scalar>& v, std::vector<Scalar>& out) {
  return {rows, heads, key_heads, d, 0.3f, q.data(), k.data(), v.data(), out.data()};
}

}  // namespace

TEST(attend_all, rows_and_heads_of_any_size) {
  const struct {
    std::size_t rows, heads, key_heads, d;
  } shapes[] = {{1, 1, 1, 8}, {5, 2, 1, 6}, {33, 2, 2, 72}, {257, 4, 2, 64}, {530, 1, 1, 72}, {70, 1, 1, 132}};
  for (const auto& s : shapes) {
    SCOPED_TRACE(std::to_string(s.rows) + " rows of " + std::to_string(s.d));
    const std::vector<float> q = random_floats(s.rows * s.heads * s.d, 1, 2.0f);
    const std::vector<float> k = random_floats(s.rows * s.key_heads * s.d, 2), v = random_floats(k.size(), 3);
    std::vector<double> expected(q.size());
    const std::vector<double> dq = doubles(q), dk = doubles(k), dv = doubles(v);
    ops::attend_all(everyone(s.rows, s.heads, s.key_heads, s.d, dq, dk, dv, expected));
    for_each_target([&] {
      backend::cpu on({backend::numeric::fast});
      std::vector<float> y(q.size(), 7.0f);
      on.attend_all(everyone(s.rows, s.heads, s.key_heads, s.d, q, k, v, y));
      EXPECT_LT(error_of(y, expected), 1e-3);
    });
  }
}

TEST(attend_all, the_number_of_threads_changes_no_bit) {
  constexpr std::size_t rows = 300, heads = 3, d = 24;
  const std::vector<float> q = random_floats(rows * heads * d, 1), k = random_floats(q.size(), 2), v = random_floats(q.size(), 3);
  std::vector<float> alone(q.size()), together(q.size());
  thread_pool pool(3);
  backend::cpu one({backend::numeric::fast}), three({backend::numeric::fast, &pool});
  one.attend_all(everyone(rows, heads, heads, d, q, k, v, alone));
  three.attend_all(everyone(rows, heads, heads, d, q, k, v, together));
  EXPECT_EQ(alone, together);
}

TEST(attend_all, what_is_no_number_does_not_become_one) {
  constexpr std::size_t rows = 40, d = 8;
  const float none = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  for (const float bad : {none, infinite}) {
    for (const int of : {0, 1, 2}) {
      std::vector<float> x[3] = {random_floats(rows * d, 1), random_floats(rows * d, 2), random_floats(rows * d, 3)};
      x[of][35 * d + 3] = bad;
      std::vector<float> y(rows * d);
      for_each_target([&] {
        backend::cpu on({backend::numeric::fast});
        on.attend_all(everyone(rows, 1, 1, d, x[0], x[1], x[2], y));
        EXPECT_FALSE(std::isfinite(y[35 * d + 3])) << of;
        EXPECT_EQ(std::isfinite(y[3]), of == 0) << of;  // a query is its own row's, a key and a value all rows'
      });
    }
  }
}

TEST(tower_rows, each_as_it_is_defined) {
  constexpr std::size_t rows = 7;
  for (const std::size_t width : {4u, 36u, 72u, 100u, 1024u}) {
    SCOPED_TRACE(width);
    const std::vector<float> x = random_floats(2 * rows * width, 4, 3.0f), more = random_floats(2 * rows * width, 5);
    const std::vector<float> weight = random_floats(width, 6), kernel = random_floats(5 * width, 7);
    const std::size_t n = rows * width;
    std::vector<double> normed(n), silu = doubles(x), glu(n), back(n), turned = doubles(x);
    ops::layer_norm(doubles(x).data(), weight.data(), kernel.data(), rows, width, 1e-6f, normed.data());
    ops::silu(silu.data(), silu.size());
    ops::glu(doubles(x).data(), rows, width, glu.data());
    ops::convolve_back(doubles(x).data(), kernel.data(), 0, rows, width, 5, back.data());
    ops::rope_2d(turned.data(), 2 * rows, 1, width, doubles(more).data(), doubles(x).data());
    std::vector<float> within(x.size()), sums = x;
    ops::keep_within(x.data(), x.size(), -1.5f, 2.0f, within.data());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
    for_each_target([&] {
      backend::cpu on;
      std::vector<float> y(n);
      on.layer_norm(x.data(), weight.data(), kernel.data(), rows, width, 1e-6f, y.data());
      expect_near(y, normed, 2e-6);
      on.glu(x.data(), rows, width, y.data());
      expect_near(y, glu, 1e-6);
      on.convolve_back(x.data(), kernel.data(), rows, width, 5, y.data());
      expect_near(y, back, 4e-6);
      std::vector<float> z = x;
      on.silu(z.data(), z.size());
      expect_near(z, silu, 1e-6);
      z = x;
      on.rope_2d(z.data(), 2 * rows, 1, width, more.data(), x.data());
      expect_near(z, turned, 2e-6);
      z = x;
      on.add(more.data(), z.size(), z.data());
      EXPECT_EQ(z, sums);
      z = x;
      on.add_bias(z.data(), more.data(), 1, z.size());
      EXPECT_EQ(z, sums);
      on.keep_within(x.data(), x.size(), -1.5f, 2.0f, z.data());
      EXPECT_EQ(z, within);
    });
  }
}

TEST(attend_near, as_it_is_defined) {
  constexpr std::size_t rows = 30, heads = 2, d = 24, past = 12, distances = 13;
  const std::vector<float> q = random_floats(rows * heads * d, 1), k = random_floats(q.size(), 2), v = random_floats(q.size(), 3);
  const std::vector<float> far = random_floats(distances * heads * d, 4), per_number = random_floats(d, 5);
  const auto given = [&](const auto& of_q, const auto& of_k, const auto& of_v, const auto& of_far, auto& out) {
    ops::near_attention<typename std::remove_cvref_t<decltype(out)>::value_type> a;
    a.rows = rows, a.heads = heads, a.head_size = d, a.past = past, a.ahead = 3, a.distances = distances, a.self = 10;
    a.query_scale = 0.3f, a.key_scale = 1.2f, a.cap = 5;
    a.query = of_q.data(), a.key = of_k.data(), a.value = of_v.data(), a.distance = of_far.data();
    a.per_number = per_number.data();
    a.out = out.data();
    return a;
  };
  std::vector<double> expected(q.size());
  const std::vector<double> dq = doubles(q), dk = doubles(k), dv = doubles(v), dfar = doubles(far);
  ops::attend_near(given(dq, dk, dv, dfar, expected), 0, rows);
  for_each_target([&] {
    backend::cpu on;
    std::vector<float> y(q.size());
    on.attend_near(given(q, k, v, far, y));
    expect_near(y, expected, 2e-6);
  });
}

// A tower's weights: rounded once, and to the same levels as when they are rounded as they come.
TEST(plain_floats_in_panels, have_the_bits_of_those_that_are_not) {
  for (const storage type : {storage::f32, storage::f16, storage::bf16}) {
    for (const std::size_t columns : {32u, 72u, 588u}) {
      constexpr std::size_t rows = 40, tokens = 65;  // fewer are not rounded in panels
      const random_matrix w(type, rows, columns);
      const std::vector<float> x = random_floats(tokens * columns, 2);
      for_each_target([&] {
        for (const auto move : {backend::weights_move::at_load, backend::weights_move::in_use}) {
          backend::cpu on({backend::numeric::fast, nullptr, move});
          panel_store store;
          const weight_view kept = *on.prepare(w.view, store, {}, weight_use::many_rows);
          ASSERT_NE(kept.prepared, nullptr);
          std::vector<float> y(tokens * rows), expected(y.size()), exact(y.size());
          on.matmul(w.view, x.data(), tokens, expected.data());
          for (int use = 0; use < 3; ++use) {
            on.matmul(kept, x.data(), tokens, y.data());
            EXPECT_EQ(y, expected) << use;
          }
          on.exact_matmul(kept, x.data(), tokens, y.data());
          backend::cpu plain;
          plain.matmul(w.view, x.data(), tokens, exact.data());
          EXPECT_EQ(y, exact);
        }
      });
    }
  }
}

}  // namespace g4::test
