/// A rank's share of a number of things that lie side by side.
#pragma once

#include <cstddef>

namespace g4 {

/// Consecutive rows, or columns.
struct stretch {
  std::size_t first = 0;
  std::size_t count = 0;
  friend constexpr bool operator==(const stretch&, const stretch&) = default;
};

/// What rank r of R has of n: [⌊n·r/R⌋, ⌊n·(r+1)/R⌋). Shares differ by one at most, and together they are all.
[[nodiscard]] constexpr stretch share_of(std::size_t n, int ranks, int rank) {
  const auto R = static_cast<std::size_t>(ranks), r = static_cast<std::size_t>(rank);
  const std::size_t first = n / R * r + n % R * r / R;  // n·r/R, without leaving the range of a size
  return {first, n / R * (r + 1) + n % R * (r + 1) / R - first};
}

/// The largest share of n: ⌈n/R⌉.
[[nodiscard]] constexpr int largest_share(int n, int ranks) { return n / ranks + (n % ranks != 0 ? 1 : 0); }
[[nodiscard]] constexpr std::size_t largest_share(std::size_t n, std::size_t ranks) {
  return n / ranks + (n % ranks != 0 ? 1 : 0);
}

}  // namespace g4
