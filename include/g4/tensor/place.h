/// Where a patch lies in its picture.
#pragma once

#include <cstdint>

namespace g4 {

/// The place of a patch in its picture, in patches.
struct place {
  std::int32_t column = 0;
  std::int32_t row = 0;
};

}  // namespace g4
