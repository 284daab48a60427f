// The distances a case is judged by.
#include "conformance/runner/compare.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace {

using namespace g4::conformance;
using numbers = std::vector<double>;

TEST(largest_error, the_largest_absolute_difference) {
  EXPECT_DOUBLE_EQ(largest_error(numbers{1, 2, 3}, numbers{1, 2.5, 2}), 1.0);
  EXPECT_EQ(largest_error(numbers{}, numbers{}), 0.0);
}

TEST(largest_error, infinite_for_other_sizes_and_for_what_is_not_finite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(largest_error(numbers{1}, numbers{1, 2}), infinity);
  EXPECT_EQ(largest_error(numbers{nan, 1}, numbers{1, 1}), infinity);
  EXPECT_EQ(largest_error(numbers{infinity}, numbers{infinity}), infinity);
}

TEST(kl_divergence, zero_for_logits_that_differ_by_a_shift) {
  EXPECT_NEAR(kl_divergence(numbers{1, 2, 3}, numbers{11, 12, 13}), 0.0, 1e-15);
}

TEST(kl_divergence, the_sum_of_p_log_p_over_q) {
  // p = (1/2, 1/2), q = (1/4, 3/4): ½·ln 2 + ½·ln(2/3)
  const double ln2 = std::log(2.0);
  EXPECT_NEAR(kl_divergence(numbers{0, 0}, numbers{0, std::log(3.0)}), 0.5 * ln2 + 0.5 * std::log(2.0 / 3.0), 1e-15);
}

TEST(index_of_largest, the_first_of_equals) { EXPECT_EQ(index_of_largest(numbers{1, 3, 3, 2}), 1u); }

}  // namespace
