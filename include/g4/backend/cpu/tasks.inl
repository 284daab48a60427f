#pragma once

#include <algorithm>
#include <cstddef>

#include "g4/backend/cpu/tasks.h"

namespace g4::cpu {

G4_INLINE std::size_t tasks::split(std::size_t items, std::size_t cost, std::size_t unit) const {
  if (workers() == 1 || items * cost < 65536) return items;
  const std::size_t least = ceil_div(32768, cost);
  const std::size_t enough = ceil_div(std::size_t{1} << 21, cost);
  const std::size_t share = std::min(ceil_div(items, 4 * workers()), enough);
  return ceil_div(std::max(least, share), unit) * unit;
}

}  // namespace g4::cpu
