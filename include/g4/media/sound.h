/// A sound as a host has it, and its stretches.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace g4::media {

/// One channel of samples in −1 … 1. It does not own them.
struct sound {
  std::span<const float> samples;
  std::size_t rate = 16'000;  ///< samples a second
};

/// The sound in stretches of `length` samples, the last filled up with noughts: [⌈n / length⌉, length].
[[nodiscard]] inline std::vector<float> framed(const sound& x, std::size_t length) {
  std::vector<float> rows(x.samples.begin(), x.samples.end());
  rows.resize((rows.size() + length - 1) / length * length);
  return rows;
}

}  // namespace g4::media
