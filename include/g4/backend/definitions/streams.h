/// Operations on the residual streams of alternating updates, as they are defined.
#pragma once

#include <cstddef>

#include "g4/ops/altup.h"

namespace g4::backend {

/// The words of streams: `ops/altup.h` says what each does.
template <class Scalar>
struct stream_definitions {
  void altup_predict(const Scalar* h, const Scalar* coefficients, std::size_t streams, std::size_t rows,
                     std::size_t width, Scalar* predicted) {
    ops::altup_predict(h, coefficients, streams, rows, width, predicted);
  }
  void altup_correct(const Scalar* predicted, const Scalar* y, const Scalar* coefficients, std::size_t streams,
                     std::size_t active, std::size_t rows, std::size_t width, Scalar* h) {
    ops::altup_correct(predicted, y, coefficients, streams, active, rows, width, h);
  }
  void match_magnitude(const Scalar* model, std::size_t rows, std::size_t width, Scalar* x) {
    ops::match_magnitude(model, rows, width, x);
  }
};

}  // namespace g4::backend
