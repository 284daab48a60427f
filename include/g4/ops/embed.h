/// Looking up a token's row.
#pragma once

#include <cstddef>
#include <vector>

#include "g4/ops/dequantise.h"
#include "g4/tensor/matrix.h"

namespace g4::ops {

/// y = scale · table[id]
///
/// table   [vocabulary, width], any storage; only this one row is touched
/// y       [width]
template <class Scalar>
void embed(const matrix_view& table, std::size_t id, float scale, Scalar* y, std::vector<float>& row) {
  if (row.size() < table.columns) row.resize(table.columns);
  dequantise(table.type, table.row(id), table.columns, row.data());
  for (std::size_t i = 0; i < table.columns; ++i) y[i] = static_cast<Scalar>(row[i]) * static_cast<Scalar>(scale);
}

}  // namespace g4::ops
