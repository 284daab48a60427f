/// Operations on rows of activations, number by number, as they are defined.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/ops/embed.h"
#include "g4/ops/gate.h"
#include "g4/ops/route.h"
#include "g4/ops/soft_cap.h"
#include "g4/ops/sparsify.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/pass_row.h"

namespace g4::backend {

/// The words of rows. `n` counts numbers, T rows.
template <class Scalar>
struct row_definitions {
  /// y = 0·x + value
  void fill(Scalar* y, std::size_t n, Scalar value) {
    for (std::size_t i = 0; i < n; ++i) y[i] = value;
  }
  /// x = x · factor
  void scale(Scalar* x, std::size_t n, Scalar factor) {
    for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
  }
  /// x = x · factor[0], a number of the checkpoint
  void scale_by(Scalar* x, std::size_t n, const float* factor) { scale(x, n, static_cast<Scalar>(*factor)); }
  /// x = x / divisor, which is not the same as multiplying with 1 / divisor
  void divide(Scalar* x, std::size_t n, Scalar divisor) {
    for (std::size_t i = 0; i < n; ++i) x[i] /= divisor;
  }
  /// y[t, i] = x[t, i] · scale[i]
  void scale_columns(const Scalar* x, const float* scale, std::size_t rows, std::size_t width, Scalar* y) {
    for (std::size_t t = 0; t < rows; ++t) {
      for (std::size_t i = 0; i < width; ++i) y[t * width + i] = x[t * width + i] * static_cast<Scalar>(scale[i]);
    }
  }
  /// y = y + x
  void add(const Scalar* x, std::size_t n, Scalar* y) {
    for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
  }
  /// y = (a + b + c) · factor
  void add_three(const Scalar* a, const Scalar* b, const Scalar* c, std::size_t n, Scalar factor, Scalar* y) {
    for (std::size_t i = 0; i < n; ++i) y[i] = (a[i] + b[i] + c[i]) * factor;
  }
  /// y[t] = y[t] + bias
  void add_bias(Scalar* y, const float* bias, std::size_t rows, std::size_t width) {
    for (std::size_t t = 0; t < rows; ++t) {
      for (std::size_t i = 0; i < width; ++i) y[t * width + i] += static_cast<Scalar>(bias[i]);
    }
  }
  /// x = tanh(x)
  void tanh(Scalar* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) x[i] = std::tanh(x[i]);
  }
  /// x = cap · tanh(x / cap)
  void soft_cap(Scalar* x, std::size_t n, float cap) { ops::soft_cap(x, n, cap); }

  /// gate = activation(gate) · up
  template <class Activation>
  void gate(Activation activation, Scalar* gate, const Scalar* up, std::size_t n) {
    ops::gate(activation, gate, up, n);
  }
  /// The same with the activation of every released model.
  void gelu_gate(Scalar* gate, const Scalar* up, std::size_t n) {
    ops::gate([](Scalar x) { return ops::gelu_tanh(x); }, gate, up, n);
  }
  /// Gaussian top-k: keeps what lies above a row's mean by more than z deviations, see `ops/sparsify.h`.
  void sparsify(Scalar* x, std::size_t rows, std::size_t width, float z) { ops::sparsify(x, rows, width, z); }

  /// y[t] = scale · table[ids[t]]
  void embed(const matrix_view& table, const token_id* ids, std::size_t rows, float scale, Scalar* y) {
    for (std::size_t t = 0; t < rows; ++t) {
      ops::embed(table, static_cast<std::size_t>(ids[t]), scale, y + t * table.columns, table_row_);
    }
  }
  /// y[t] = (y[t] + scale · table[ids[t]]) · factor;  `room` [columns] is worked in
  void mix_embedded(const matrix_view& table, const token_id* ids, std::size_t rows, float scale, Scalar factor,
                    Scalar* room, Scalar* y) {
    for (std::size_t t = 0; t < rows; ++t) {
      ops::embed(table, static_cast<std::size_t>(ids[t]), scale, room, table_row_);
      for (std::size_t i = 0; i < table.columns; ++i) {
        y[t * table.columns + i] = (y[t * table.columns + i] + room[i]) * factor;
      }
    }
  }

  /// A router's logits [T, experts], overwritten, become the k chosen of each row and their weights: `ops/route.h`.
  void route(Scalar* logits, std::size_t rows, std::size_t experts, std::size_t k, const float* expert_scale,
             std::int32_t* choice, Scalar* weight) {
    for (std::size_t t = 0; t < rows; ++t) {
      ops::route(logits + t * experts, experts, k, expert_scale, choice + t * k, weight + t * k);
    }
  }

  /// y = mean over the rows of x [T, width]
  void mean_rows(const Scalar* x, std::size_t rows, std::size_t width, Scalar* y) {
    for (std::size_t i = 0; i < width; ++i) y[i] = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      for (std::size_t i = 0; i < width; ++i) y[i] += x[t * width + i];
    }
    for (std::size_t i = 0; i < width; ++i) y[i] /= static_cast<Scalar>(rows);
  }
  /// y = x / |x|
  void unit(const Scalar* x, std::size_t width, Scalar* y) {
    Scalar squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += x[i] * x[i];
    const Scalar length = std::sqrt(squares);
    for (std::size_t i = 0; i < width; ++i) y[i] = x[i] / length;
  }
  /// The index of the greatest of x [n], the first of equals; a NaN is never the greatest.
  void best(const Scalar* x, std::size_t n, token_id* index) {
    std::size_t found = 0;
    for (std::size_t i = 1; i < n; ++i) {
      if (x[i] > x[found]) found = i;
    }
    *index = static_cast<token_id>(found);
  }

 private:
  std::vector<float> table_row_;
};

}  // namespace g4::backend
