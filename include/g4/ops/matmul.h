/// y = x · Wᵀ for a weight in any storage.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <vector>

#include "g4/ops/dequantise.h"
#include "g4/tensor/matrix.h"

namespace g4::ops {

/// The linear map of every projection: weights are stored [out, in], so a token's output is W times its input.
///
///     y[t, o] = Σ_i x[t, i] · W[o, i]
///
/// w       [out, in]       any storage of `tensor/storage.h`; a few rows at a time are turned into floats
/// x, y    [tokens, in], [tokens, out]
/// panel   working memory, grown as needed
template <class Scalar>
void matmul(const matrix_view& w, const Scalar* x, std::size_t tokens, Scalar* y, std::vector<float>& panel) {
  using matrix_of = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  constexpr std::size_t panel_rows = 16;
  const auto index = [](std::size_t n) { return static_cast<Eigen::Index>(n); };

  if (panel.size() < panel_rows * w.columns) panel.resize(panel_rows * w.columns);
  const Eigen::Map<const matrix_of> input(x, index(tokens), index(w.columns));
  Eigen::Map<matrix_of> output(y, index(tokens), index(w.rows));

  for (std::size_t first = 0; first < w.rows; first += panel_rows) {
    const std::size_t count = std::min(panel_rows, w.rows - first);
    for (std::size_t r = 0; r < count; ++r) {
      dequantise(w.type, w.row(first + r), w.columns, panel.data() + r * w.columns);
    }
    const Eigen::Map<const floats> weights(panel.data(), index(count), index(w.columns));
    output.middleCols(index(first), index(count)).noalias() =
        input.lazyProduct(weights.template cast<Scalar>().transpose());
  }
}

}  // namespace g4::ops
