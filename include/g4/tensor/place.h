/// Where a patch lies in its picture.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace g4 {

/// The place of a patch in its picture, in patches.
struct place {
  std::int32_t column = 0;
  std::int32_t row = 0;
};

/// Columns of a picture whose patches lie at these places.
[[nodiscard]] constexpr std::int32_t columns_of(std::span<const place> places) {
  std::int32_t last = -1;
  for (const place& p : places) last = std::max(last, p.column);
  return last + 1;
}

}  // namespace g4
