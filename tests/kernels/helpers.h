/// What the kernel tests share: random weights in any storage, and a loop over the SIMD targets of this machine.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "g4/core/small_float.h"
#include "g4/ops/dequantise.h"
#include "g4/tensor/matrix.h"
#include "hwy/targets.h"

namespace g4::test {

inline constexpr storage all_storages[] = {storage::f32,  storage::f16,    storage::bf16,   storage::q4_0,
                                           storage::q4_1, storage::q5_0,   storage::q5_1,   storage::q8_0,
                                           storage::q4_k, storage::q5_k,   storage::q6_k,   storage::q2_k,
                                           storage::q3_k, storage::iq4_nl, storage::iq4_xs, storage::mxfp4};

/// Runs `check` once per SIMD target of this machine, naming the target in every failure.
template <class Check>
void for_each_target(Check&& check) {
  for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    const std::int64_t target = targets & -targets;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    SCOPED_TRACE(hwy::TargetName(target));
    check();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    if (testing::Test::HasFatalFailure()) return;
  }
}

/// Memory of exactly `bytes` bytes that starts `shift` past an aligned address, so that a sanitizer sees every byte
/// read or written outside it.
class exact_bytes {
 public:
  explicit exact_bytes(std::size_t bytes, std::size_t shift = 0)
      : memory_(new std::byte[bytes + shift]), data_(memory_.get() + shift), size_(bytes) {}
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::byte* data_;
  std::size_t size_;
};

inline std::vector<double> doubles(const std::vector<float>& v) { return {v.begin(), v.end()}; }

/// Within `limit`, of numbers above 1 relative to them.
inline void expect_near(const std::vector<float>& y, const std::vector<double>& expected, double limit) {
  ASSERT_EQ(y.size(), expected.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(y[i]), expected[i], limit * std::max(1.0, std::abs(expected[i]))) << "at " << i;
  }
}

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> out(n);
  for (float& v : out) v = normal(random);
  out.shrink_to_fit();
  return out;
}

/// A weight of random levels with plausible scales.
struct random_matrix {
  exact_bytes bytes;
  matrix_view view;

  random_matrix(storage type, std::size_t rows, std::size_t columns, unsigned seed = 1)
      : bytes(rows * row_bytes(type, columns), facts_of(type).block_elements > 1 ? 2 : 0) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> scale(0.001f, 0.02f);
    std::normal_distribution<float> normal(0.0f, 0.1f);
    const storage_facts facts = facts_of(type);
    std::byte* p = bytes.data();
    const auto put = [](std::byte* at, std::uint16_t bits) { std::memcpy(at, &bits, 2); };
    for (std::size_t block = 0; block < rows * columns / facts.block_elements; ++block, p += facts.block_bytes) {
      for (std::size_t i = 0; i < facts.block_bytes; ++i) p[i] = static_cast<std::byte>(random());
      const bool negative = random() % 2 != 0;
      const std::uint16_t d = f16_from_float(negative ? -scale(random) : scale(random));
      const float plain = normal(random);
      switch (type) {
        case storage::f32: std::memcpy(p, &plain, 4); break;
        case storage::f16: put(p, f16_from_float(plain)); break;
        case storage::bf16: put(p, bf16_from_float(plain)); break;
        case storage::q4_1:
        case storage::q5_1: put(p + 2, f16_from_float(normal(random))); [[fallthrough]];
        case storage::q4_0:
        case storage::q5_0:
        case storage::q8_0:
        case storage::iq4_nl:
        case storage::iq4_xs: put(p, d); break;
        case storage::q2_k:
          put(p + 80, f16_from_float(scale(random) / 4));
          put(p + 82, f16_from_float(scale(random) / 4));
          break;
        case storage::q3_k: put(p + 108, f16_from_float(scale(random) / 16)); break;
        case storage::mxfp4: *p = static_cast<std::byte>(118 + random() % 6); break;
        case storage::q4_k:
        case storage::q5_k:
          put(p, f16_from_float(scale(random) / 16));
          put(p + 2, f16_from_float(scale(random) / 4));
          break;
        case storage::q6_k: put(p + 208, f16_from_float(scale(random) / 64)); break;
        case storage::f64:
        case storage::i16: break;
      }
    }
    view = {bytes.data(), rows, columns, type};
  }

  [[nodiscard]] std::vector<float> row(std::size_t r) const {
    std::vector<float> out(view.columns);
    dequantise(view.type, view.row(r), view.columns, out.data());
    return out;
  }
};

/// y [tokens, rows] against x [tokens, columns] · wᵀ in double, within `limit` of Σ|w·x|, which is what rounding is
/// relative to.
template <class Scalar>
void expect_products(const random_matrix& w, const std::vector<Scalar>& x, const std::vector<float>& y, double limit) {
  const std::size_t rows = w.view.rows, columns = w.view.columns;
  ASSERT_EQ(y.size() / rows, x.size() / columns);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::vector<float> row = w.row(r);
    for (std::size_t t = 0; t < y.size() / rows; ++t) {
      double expected = 0, size = 0;
      for (std::size_t i = 0; i < columns; ++i) {
        const double product = static_cast<double>(row[i]) * static_cast<double>(x[t * columns + i]);
        expected += product;
        size += std::abs(product);
      }
      ASSERT_NEAR(static_cast<double>(y[t * rows + r]), expected, limit * size) << "row " << r << ", token " << t;
    }
  }
}

}  // namespace g4::test
