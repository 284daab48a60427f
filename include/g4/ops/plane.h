/// Planes of channels: squares of them as rows, a kernel for each channel, and rows of one beside those of another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace g4::ops {

/// A plane [height, width, channels] over which squares of `side` are laid, `stride` apart: ⌈height / stride⌉ rows of
/// ⌈width / stride⌉ of them. Where they reach beyond the plane there is nought: as much in front of it as behind, and one
/// more behind where it is odd.
///
/// Source: padding "SAME" of TensorFlow, which timm 1.0.31 follows in layers/padding.py.
struct plane {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;
  std::size_t side = 1;
  std::size_t stride = 1;

  [[nodiscard]] static constexpr std::size_t count(std::size_t n, std::size_t stride) {
    return (n + stride - 1) / stride;
  }
  [[nodiscard]] static constexpr std::size_t before(std::size_t n, std::size_t side, std::size_t stride) {
    const std::size_t covered = (count(n, stride) - 1) * stride + side;
    return covered > n ? (covered - n) / 2 : 0;
  }
  [[nodiscard]] constexpr std::size_t rows() const { return count(height, stride); }
  [[nodiscard]] constexpr std::size_t columns() const { return count(width, stride); }
  [[nodiscard]] constexpr std::size_t top() const { return before(height, side, stride); }
  [[nodiscard]] constexpr std::size_t left() const { return before(width, side, stride); }
  [[nodiscard]] constexpr std::size_t numbers() const { return side * side * channels; }  ///< of one square

  /// Which of a square's rows, or columns, lie in the plane: [first, last) of the n-th square.
  struct inside {
    std::size_t first = 0;
    std::size_t last = 0;
  };
  [[nodiscard]] constexpr inside rows_inside(std::size_t n) const { return part(n, top(), height); }
  [[nodiscard]] constexpr inside columns_inside(std::size_t n) const { return part(n, left(), width); }

 private:
  [[nodiscard]] constexpr inside part(std::size_t n, std::size_t margin, std::size_t size) const {
    const std::size_t begin = n * stride, end = size + margin;  // counted from the margin's first
    const std::size_t last = begin < end ? std::min(side, end - begin) : 0;
    return {std::min(last, begin < margin ? margin - begin : 0), last};
  }
};

/// y[(i, j)] = the square at row first + i, column j: place by place, each with all its channels. Its product with a
/// convolution's weights [out, side, side, channels] is the convolution.
///
/// x [height, width, channels], y [rows · columns, side² · channels]
template <class Scalar>
void unfold(const Scalar* x, const plane& p, std::size_t first, std::size_t rows, Scalar* y) {
  const std::size_t line = p.side * p.channels;
  for (std::size_t i = first; i < first + rows; ++i) {
    const plane::inside down = p.rows_inside(i);
    for (std::size_t j = 0; j < p.columns(); ++j, y += p.side * line) {
      const plane::inside across = p.columns_inside(j);
      for (std::size_t a = 0; a < p.side; ++a) {
        Scalar* const to = y + a * line;
        if (a < down.first || a >= down.last) {
          std::fill_n(to, line, Scalar(0));
          continue;
        }
        std::fill_n(to, across.first * p.channels, Scalar(0));
        const std::size_t row = i * p.stride + a - p.top(), column = j * p.stride + across.first - p.left();
        std::copy_n(x + (row * p.width + column) * p.channels, (across.last - across.first) * p.channels,
                    to + across.first * p.channels);
        std::fill_n(to + across.last * p.channels, (p.side - across.last) * p.channels, Scalar(0));
      }
    }
  }
}

/// y[i, j, c] = Σ_{a, b} kernel[a, b, c] · x[i·stride + a − top, j·stride + b − left, c]: every channel by itself.
///
/// x [height, width, channels], kernel [side, side, channels], y [⌈height / stride⌉, ⌈width / stride⌉, channels], not x.
/// Rows from `first` on, `count` of them.
template <class Scalar>
void depthwise(const Scalar* x, const float* kernel, const plane& p, std::size_t first, std::size_t count, Scalar* y) {
  y += first * p.columns() * p.channels;
  for (std::size_t i = first; i < first + count; ++i) {
    const plane::inside down = p.rows_inside(i);
    for (std::size_t j = 0; j < p.columns(); ++j, y += p.channels) {
      const plane::inside across = p.columns_inside(j);
      std::fill_n(y, p.channels, Scalar(0));
      for (std::size_t a = down.first; a < down.last; ++a) {
        for (std::size_t b = across.first; b < across.last; ++b) {
          const std::size_t row = i * p.stride + a - p.top(), column = j * p.stride + b - p.left();
          const Scalar* const from = x + (row * p.width + column) * p.channels;
          const float* const w = kernel + (a * p.side + b) * p.channels;
          for (std::size_t c = 0; c < p.channels; ++c) y[c] += static_cast<Scalar>(w[c]) * from[c];
        }
      }
    }
  }
}

/// y[t, 0 … width) = x[of[t]], where a row of y has `stride` numbers: rows of one plane beside those of another, and the
/// same row for several places where a plane is larger than the one they come from.
template <class Scalar>
void lay_beside(const Scalar* x, const std::int32_t* of, std::size_t rows, std::size_t width, std::size_t stride,
                Scalar* y) {
  for (std::size_t t = 0; t < rows; ++t) {
    std::copy_n(x + static_cast<std::size_t>(of[t]) * width, width, y + t * stride);
  }
}

}  // namespace g4::ops
