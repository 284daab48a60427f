#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/backend/cpu/rank.h"

namespace g4::cpu {

G4_INLINE void order_by_energy(const float* x, std::vector<std::uint16_t>& groups) {
  const auto energy = [&](std::uint16_t g) {
    double sum = 0;
    for (std::size_t i = 0; i < 8; ++i) sum += static_cast<double>(x[8 * g + i]) * static_cast<double>(x[8 * g + i]);
    return std::isfinite(sum) ? sum : 0;  // so that there is an order
  };
  std::sort(groups.begin(), groups.end(), [&](std::uint16_t a, std::uint16_t b) {
    const double of_a = energy(a), of_b = energy(b);
    return of_a != of_b ? of_a > of_b : a < b;
  });
}

G4_INLINE void rank_plan::make(const std::int16_t* levels, const float* step, std::size_t columns,
                            const std::uint16_t* in_order, std::byte* memory) {
  const std::size_t blocks = columns / 32;
  groups = 4 * blocks;
  auto* energy = reinterpret_cast<double*>(memory);
  rest = reinterpret_cast<float*>(energy + groups);
  cap = rest + stages * blocks;
  slack = cap + stages * blocks;
  sum = reinterpret_cast<std::int32_t*>(slack + blocks);
  order = in_order;
  for (std::size_t g = 0; g < groups; ++g) {
    const auto scale = static_cast<double>(step[g / 4]);
    energy[g] = 0;
    sum[g] = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      const std::int16_t level = levels[8 * g + i];
      energy[g] += static_cast<double>(level) * level * scale * scale;
      sum[g] += level;
    }
  }
  const double one_up = 1 + 1e-6;  // what is rounded to float rounds up
  for (std::size_t b = 0; b < blocks; ++b) {
    const double whole = std::sqrt(energy[4 * b] + energy[4 * b + 1] + energy[4 * b + 2] + energy[4 * b + 3]);
    // |Σ w·x| ≤ 128·√32·‖x_b‖, and each of two sums over the blocks errs by a unit in the last place for every step.
    const double steps = 2 * static_cast<double>(blocks + 8);
    slack[b] = static_cast<float>(steps * 0x1p-24 * 128 * std::sqrt(32.0) * whole * one_up);
  }
  for (std::size_t s = 0, met = 0; s < stages; ++s) {
    for (; s > 0 && met < end(s - 1); ++met) energy[order[met]] = -1;  // met
    for (std::size_t b = 0; b < blocks; ++b) {
      double left = 0;
      double columns_left = 0;
      for (std::size_t g = 4 * b; g < 4 * b + 4; ++g) {
        if (energy[g] < 0) continue;
        left += energy[g];
        columns_left += 8;
      }
      const double unit = static_cast<double>(norm_unit);
      rest[s * blocks + b] = static_cast<float>(std::sqrt(left) / unit * one_up);
      cap[s * blocks + b] = static_cast<float>(8 * std::sqrt(columns_left) * unit * one_up);
    }
  }
}

}  // namespace g4::cpu
