/// Types at the door, numbers in the kernel: extents are checked here, by the compiler, and then forgotten.
#pragma once

#include <cstddef>

#include "g4/backend/composed.h"
#include "g4/tensor/matrix.h"

namespace g4 {

/// y [T, Out] = x [T, In] · wᵀ
template <class B, int Out, int In, class Scalar>
void linear(B& on, const matrix<Out, In>& w, rows<In, Scalar> x, rows<Out, Scalar> y) {
  on.matmul(w, x.data, x.count, y.data);
}

/// A weight and the rows its product goes to.
template <class Matrix, class Rows>
struct product {
  const Matrix& w;
  Rows y;
};
template <class Matrix, class Rows>
product(const Matrix&, Rows) -> product<Matrix, Rows>;

/// Several products of one input: y_i = x · w_iᵀ. In one step where the backend has it, one after the other where not.
template <class B, int In, class Scalar, class... Matrix, class... Rows>
void linears(B& on, rows<In, Scalar> x, const product<Matrix, Rows>&... several) {
  static_assert(((Matrix::in == In && Matrix::out == Rows::width) && ...), "g4: extents of a product do not agree");
  if constexpr (requires { typename B::projection; }) {
    const typename B::projection list[] = {{several.w, several.y.data}...};
    on.matmuls(list, x.data, x.count);
  } else {
    (on.matmul(several.w, x.data, x.count, several.y.data), ...);
  }
}

/// y [T, N] += bias [N]
template <class B, int N, class Scalar>
void add_bias(B& on, rows<N, Scalar> y, const vector<N>& bias) {
  on.add_bias(y.data, bias.data, y.count, N);
}

/// y = rms_norm(x) · scale
template <class B, int Width, class Scalar>
void norm_rows(B& on, rows<Width, Scalar> x, const vector<Width>& scale, float eps, rows<Width, Scalar> y) {
  on.rms_norm(x.data, scale.data, x.count, Width, eps, y.data);
}

/// x += rms_norm(delta) · scale
template <class B, int Width, class Scalar>
void add_normed_rows(B& on, rows<Width, Scalar> x, rows<Width, Scalar> delta, const vector<Width>& scale, float eps) {
  on.add_norm(x.data, delta.data, scale.data, x.count, Width, eps);
}

/// x += rms_norm(delta) · closing, y = rms_norm(x) · opening: in one step where the backend has it.
template <class B, int Width, class Scalar>
void close_and_open_rows(B& on, rows<Width, Scalar> x, rows<Width, Scalar> delta, const vector<Width>& closing,
                         const vector<Width>& opening, float eps, rows<Width, Scalar> y) {
  if constexpr (requires {
                  on.close_and_open(x.data, delta.data, closing.data, opening.data, x.count, x.count, eps, y.data);
                }) {
    on.close_and_open(x.data, delta.data, closing.data, opening.data, x.count, Width, eps, y.data);
  } else {
    composed::close_and_open(on, x.data, delta.data, closing.data, opening.data, x.count, Width, eps, y.data);
  }
}

}  // namespace g4
