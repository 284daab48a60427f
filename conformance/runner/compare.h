/// Distances between what came out and what was expected.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "g4/ops/kl_divergence.h"

namespace g4::conformance {

/// A hash of the numbers that were compared last, bit for bit (FNV-1a): `G4_CONFORMANCE_BITS=1 conformance/check …` prints
/// it beside each error, so that the lines of two versions can be held against each other with diff.
inline std::uint64_t compared_bits = 0;
inline void note_bits(std::span<const double> found) {
  std::uint64_t hash = 14695981039346656037u;
  for (const double x : found) hash = (hash ^ std::bit_cast<std::uint64_t>(x)) * 1099511628211u;
  compared_bits = hash;
}

/// max |found − expected|; infinite when a number is not finite or the sizes differ.
[[nodiscard]] inline double largest_error(std::span<const double> found, std::span<const double> expected) {
  note_bits(found);
  if (found.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double error = std::abs(found[i] - expected[i]);
    if (!(error <= std::numeric_limits<double>::max())) return std::numeric_limits<double>::infinity();
    if (error > largest) largest = error;
  }
  return largest;
}

[[nodiscard]] inline double largest_magnitude(std::span<const double> values) {
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

/// KL(expected ‖ found) of the distributions that two rows of logits stand for.
[[nodiscard]] inline double kl_divergence(std::span<const double> expected, std::span<const double> found) {
  return ops::kl_divergence(expected.data(), found.data(), expected.size());
}

[[nodiscard]] inline std::size_t index_of_largest(std::span<const double> values) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

}  // namespace g4::conformance
