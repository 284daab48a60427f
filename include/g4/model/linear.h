/// Types at the door, numbers in the kernel: extents are checked here, by the compiler, and then forgotten.
#pragma once

#include <cstddef>

#include "g4/tensor/matrix.h"

namespace g4 {

/// y [T, Out] = x [T, In] · wᵀ
template <class B, int Out, int In, class Scalar>
void linear(B& on, const matrix<Out, In>& w, rows<In, Scalar> x, rows<Out, Scalar> y) {
  on.matmul(w, x.data, x.count, y.data);
}

/// y [T, Out] = x [T, In] · wᵀ + bias
template <class B, int Out, int In, class Scalar>
void linear(B& on, const matrix<Out, In>& w, const vector<Out>& bias, rows<In, Scalar> x, rows<Out, Scalar> y) {
  on.matmul(w, x.data, x.count, y.data);
  for (std::size_t t = 0; t < y.count; ++t) {
    for (std::size_t i = 0; i < Out; ++i) y(t, i) += static_cast<Scalar>(bias.data[i]);
  }
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

}  // namespace g4
