/// How near is near enough: the case's own limits, or the budget of the fast mode.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "conformance/runner/case_folder.h"
#include "conformance/runner/compare.h"

namespace g4::conformance {

/// The fast mode's budget: a tensor's largest error against its own largest number, and the mean KL divergence of
/// logits from the reference's. Figures and their reason: conformance/README.md.
inline constexpr double fast_relative = 1e-2;
inline constexpr double fast_kl = 1e-4;

/// The largest absolute error allowed; nothing if the case sets no limit.
[[nodiscard]] inline std::optional<double> limit_for(const case_folder& folder, const std::string& tensor,
                                                     std::span<const double> expected, bool fast) {
  std::optional<double> limit = folder.limit(tensor);
  if (fast) limit = std::max(limit.value_or(0), fast_relative * largest_magnitude(expected));
  return limit;
}

}  // namespace g4::conformance
