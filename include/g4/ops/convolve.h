/// Convolutions: squares of a plane laid out as rows, so that they become a product, and a kernel for each channel.
#pragma once

#include <cstddef>

namespace g4::ops {

/// A plane [height, width, channels] of which squares are taken: `side` wide, `stride` apart, the first beginning `top`
/// rows and `side` / 2 columns before the plane. What lies outside of the plane is nought; `side` − 1 rows of it are seen,
/// before the plane and behind it.
struct squares {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;
  std::size_t side = 3;
  std::size_t stride = 2;
  std::size_t top = side / 2;

  [[nodiscard]] static constexpr std::size_t count(std::size_t n, std::size_t side, std::size_t stride) {
    return (n + 2 * (side / 2) - side) / stride + 1;
  }
  [[nodiscard]] constexpr std::size_t rows() const { return count(height, side, stride); }
  [[nodiscard]] constexpr std::size_t columns() const { return count(width, side, stride); }
  [[nodiscard]] constexpr std::size_t numbers() const { return channels * side * side; }  ///< of one square
};

/// y[(i, j)] = the square at row first + i, column j: its channels one after the other, each row by row, as the weights
/// of a convolution lie [out, channels, side, side]. The convolution is then a product.
///
/// x [height, width, channels], y [rows · columns, channels · side²]
template <class Scalar>
void unfold(const Scalar* x, const squares& s, std::size_t first, std::size_t rows, Scalar* y) {
  const std::size_t left = s.side / 2;
  for (std::size_t i = first; i < first + rows; ++i) {
    for (std::size_t j = 0; j < s.columns(); ++j) {
      for (std::size_t c = 0; c < s.channels; ++c) {
        for (std::size_t a = 0; a < s.side; ++a) {
          for (std::size_t b = 0; b < s.side; ++b) {
            const std::size_t row = i * s.stride + a, column = j * s.stride + b;  // of the plane with its margin
            const bool inside = row >= s.top && row - s.top < s.height && column >= left && column - left < s.width;
            *y++ = inside ? x[((row - s.top) * s.width + column - left) * s.channels + c] : Scalar(0);
          }
        }
      }
    }
  }
}

/// y[t, i] = Σ_j kernel[i, j] · x[t − (side − 1) + j, i]: every channel by itself, looking back only; what lies before
/// the first row is nought.
///
/// x, y [rows, width], not the same array; kernel [width, side]. Rows from `first` on, `count` of them.
template <class Scalar>
void convolve_back(const Scalar* x, const float* kernel, std::size_t first, std::size_t count, std::size_t width,
                   std::size_t side, Scalar* y) {
  for (std::size_t t = first; t < first + count; ++t) {
    for (std::size_t i = 0; i < width; ++i) {
      Scalar sum = 0;
      for (std::size_t j = 0; j < side; ++j) {
        if (t + j + 1 < side) continue;
        sum += static_cast<Scalar>(kernel[i * side + j]) * x[(t + j + 1 - side) * width + i];
      }
      y[t * width + i] = sum;
    }
  }
}

}  // namespace g4::ops
