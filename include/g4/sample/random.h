/// A random number generator with the same numbers on every machine.
#pragma once

#include <cstdint>

namespace g4::sample {

/// PCG32 (XSH-RR): 64 bits of state, 32 bits a draw. Only integer arithmetic, so a seed means the same everywhere; the
/// distributions of the standard library do not promise that.
/// Source: O'Neill 2014, "PCG: a family of simple fast space-efficient statistically good algorithms", section 6.3.
class generator {
 public:
  explicit constexpr generator(std::uint64_t seed = 0) : state_(seed + increment) { next(); }

  /// The next 32 random bits.
  constexpr std::uint32_t next() {
    const std::uint64_t old = state_;
    state_ = old * 6364136223846793005u + increment;
    const auto mixed = static_cast<std::uint32_t>(((old >> 18) ^ old) >> 27);
    const auto turn = static_cast<std::uint32_t>(old >> 59);
    return (mixed >> turn) | (mixed << ((32 - turn) & 31));
  }

  /// Uniform in [0, 1), a multiple of 2⁻⁵³.
  constexpr double uniform() {
    const std::uint64_t high = next() >> 5;  // 27 bits
    const std::uint64_t low = next() >> 6;   // 26 bits
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }

 private:
  static constexpr std::uint64_t increment = 1442695040888963407u;  // the stream; odd
  std::uint64_t state_;
};

}  // namespace g4::sample
