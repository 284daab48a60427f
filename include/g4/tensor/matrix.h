/// Weight matrices and activation rows: what the model's equations are written with. Neither owns memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/tensor/storage.h"

namespace g4 {

/// A weight W [rows, columns] in some storage, row-major, as it lies in the file. `columns` is the input width: y = W·x.
/// Sizes were checked when the view was made; kernels trust them.
struct matrix_view {
  const std::byte* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  storage type = storage::f32;

  [[nodiscard]] constexpr bool empty() const { return data == nullptr; }
  /// Bytes from one row to the next.
  [[nodiscard]] constexpr std::size_t stride() const { return row_bytes(type, columns); }
  [[nodiscard]] const std::byte* row(std::size_t r) const { return data + r * stride(); }
  /// The matrix made of rows [first, first + count).
  [[nodiscard]] matrix_view slice(std::size_t first, std::size_t count) const {
    return {row(first), count, columns, type};
  }
};

/// What a backend has made of a weight for itself: see `tensor/prepared.h`.
struct prepared_weight;

/// A weight as a model holds it: as stored, and what the backend that loaded it has made of it besides. What is stored
/// stays readable, so a backend that did not make `prepared`, or cannot read it, multiplies with that.
struct weight_view : matrix_view {
  prepared_weight* prepared = nullptr;  ///< not const: a weight may go on moving while it is used

  constexpr weight_view() = default;
  constexpr weight_view(const matrix_view& stored, prepared_weight* by_backend = nullptr)
      : matrix_view(stored), prepared(by_backend) {}
};

/// What a weight is for. A backend may keep heads, whose greatest products are asked for, in another way than the rest,
/// and so what always meets many rows at once, as a tower's weights do.
enum class weight_use : std::uint8_t { layer, head, many_rows };

/// A weight whose extents are part of its type: y [Out] = W [Out, In] · x [In].
template <int Out, int In>
struct matrix : weight_view {
  static constexpr int out = Out;
  static constexpr int in = In;

  using weight_view::weight_view;
  constexpr matrix() = default;
  constexpr matrix& operator=(const weight_view& w) {
    weight_view::operator=(w);
    return *this;
  }
};

/// A norm's scale (or a bias, or any other small vector), in float32 and ready to multiply with: what `1 + weight`
/// means has been settled by the loader.
template <int N>
struct vector {
  const float* data = nullptr;
  static constexpr int size = N;
};

/// Activations [T, Width], row-major and dense; T is known at run time, Width at compile time.
template <int Width, class Scalar>
struct rows {
  Scalar* data = nullptr;
  std::size_t count = 0;  ///< T
  static constexpr int width = Width;

  [[nodiscard]] constexpr Scalar* row(std::size_t t) const { return data + t * Width; }
  [[nodiscard]] constexpr Scalar& operator()(std::size_t t, std::size_t i) const { return data[t * Width + i]; }
  [[nodiscard]] constexpr rows last(std::size_t n) const { return {data + (count - n) * Width, n}; }
};

}  // namespace g4
