/// Ids that do not stand for rows of the text's table.
#pragma once

#include <cstddef>

#include "g4/tensor/pass_row.h"

namespace g4 {

/// Rows of ids first … first + count: an embedding of its own that a tower has. They stand in a prompt as they are.
///
/// rows   [count, D] in the backend's memory
template <class Scalar>
struct own_rows {
  token_id first = 0;
  std::size_t count = 0;
  const Scalar* rows = nullptr;

  [[nodiscard]] bool has(token_id id) const { return id >= first && static_cast<std::size_t>(id - first) < count; }
};

}  // namespace g4
