/// Counting memory before it is taken.
#pragma once

#include <cstddef>
#include <limits>

namespace g4 {

/// Every part of a model says what it needs and is told where that will lie, in bytes from the start of one block that
/// is taken when all have spoken. A count that no machine can hold stays at `too_much` instead of wrapping round.
class arena {
 public:
  static constexpr std::size_t too_much = std::numeric_limits<std::size_t>::max() / 4;

  /// Room for `count` things of `size` bytes, from a line of 64 bytes on.
  constexpr std::size_t take(std::size_t count, std::size_t size) {
    const std::size_t start = total_;
    total_ = sum(total_, product(sum(product(count, size), line - 1) / line, line));
    return start;
  }
  /// Room for `rows` rows of `width` things.
  constexpr std::size_t take(std::size_t rows, std::size_t width, std::size_t size) {
    return take(product(rows, width), size);
  }
  /// Bytes of the whole block.
  [[nodiscard]] constexpr std::size_t total() const { return total_; }

  [[nodiscard]] static constexpr std::size_t product(std::size_t a, std::size_t b) {
    return b != 0 && a > too_much / b ? too_much : a * b;
  }
  [[nodiscard]] static constexpr std::size_t sum(std::size_t a, std::size_t b) {
    return a >= too_much || b >= too_much - a ? too_much : a + b;
  }

 private:
  static constexpr std::size_t line = 64;
  std::size_t total_ = 0;
};

}  // namespace g4
