/// From a row of the stack to logits.
#pragma once

#include <cstddef>
#include <limits>

#include "g4/backend/concept.h"
#include "g4/model/weights.h"

namespace g4 {

/// logits = cap(head · h), row by row.
///
/// h        [T, D]   after the final norm
/// logits   [T, V]   tokens whose rows a file leaves out (a GGUF of Gemma 3 does) cannot be chosen: theirs are the lowest
template <Variant V, Backend B>
void compute_logits(B& on, const weights<V>& w, const typename B::scalar* h, std::size_t rows,
                    typename B::scalar* logits) {
  using scalar = typename B::scalar;
  constexpr std::size_t vocab = V::vocab;
  constexpr std::size_t width = V::width;
  const std::size_t known = w.head.rows;
  if (known == vocab) {
    on.matmul(w.head, h, rows, logits);
  } else {
    for (std::size_t t = 0; t < rows; ++t) {
      on.matmul(w.head, h + t * width, 1, logits + t * vocab);
      on.fill(logits + t * vocab + known, vocab - known, std::numeric_limits<scalar>::lowest());
    }
  }
  if constexpr (V::spec.logit_cap != 0) on.soft_cap(logits, rows * vocab, V::spec.logit_cap);
}

}  // namespace g4
