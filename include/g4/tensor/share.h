/// A rank's share of a number of things that lie side by side.
#pragma once

#include <cstddef>
#include <initializer_list>

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

/// The same where n numbers are cut at multiples of `unit` alone, of which n is one.
[[nodiscard]] constexpr stretch share_of(std::size_t n, int ranks, int rank, std::size_t unit) {
  const stretch units = share_of(n / unit, ranks, rank);
  return {units.first * unit, units.count * unit};
}

/// The largest share of n: ⌈n/R⌉.
[[nodiscard]] constexpr int largest_share(int n, int ranks) { return n / ranks + (n % ranks != 0 ? 1 : 0); }
[[nodiscard]] constexpr std::size_t largest_share(std::size_t n, std::size_t ranks) {
  return n / ranks + (n % ranks != 0 ? 1 : 0);
}

/// Where a row of n stored numbers is cut among ranks: at multiples of 256, or of 32, since blocks of weights are as long; or
/// anywhere, where some rank would else have nothing.
[[nodiscard]] constexpr std::size_t cut_of_a_row(std::size_t n, int ranks) {
  for (const std::size_t unit : {std::size_t{256}, std::size_t{32}}) {
    if (n % unit == 0 && n / unit >= static_cast<std::size_t>(ranks)) return unit;
  }
  return 1;
}

}  // namespace g4
