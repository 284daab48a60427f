/// From a row of the stack to logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "g4/backend/composed.h"
#include "g4/backend/concept.h"
#include "g4/model/stack/stages.h"
#include "g4/model/weights.h"

namespace g4 {

/// Of a pipeline: the leader's logits [n] = those that the last stage has computed.
template <Variant V, Backend B>
void logits_of_the_last([[maybe_unused]] B& on, [[maybe_unused]] typename B::scalar* logits, [[maybe_unused]] std::size_t n) {
  if constexpr (V::spec.stages > 1 && JoinsStages<B>) on.hand_back(logits, n);
}

/// logits = cap(head · h), row by row.
///
/// h        [T, D]   after the final norm
/// logits   [T, V]   tokens whose rows a file leaves out (a GGUF of Gemma 3 does) cannot be chosen: theirs are the lowest
/// Of a pipeline the last stage computes them, and the first has them.
template <Variant V, Backend B>
void compute_logits(B& on, const weights<V>& w, const typename B::scalar* h, std::size_t rows,
                    typename B::scalar* logits) {
  using scalar = typename B::scalar;
  constexpr std::size_t vocab = V::vocab;
  constexpr std::size_t width = V::width;
  if (!ends_here<V>(on)) return logits_of_the_last<V>(on, logits, rows * vocab);
  const std::size_t known = w.known_tokens();
  const auto multiply = [&](const scalar* x, std::size_t count, scalar* y) {
    if constexpr (V::spec.ranks > 1) {
      on.join_products(w.head, x, count, known, y);
    } else {
      on.matmul(w.head, x, count, y);
    }
  };
  if (known == vocab) {
    multiply(h, rows, logits);
  } else {
    if constexpr (LeavesRoom<B> && V::spec.ranks == 1) {
      on.matmul(w.head, h, rows, logits, vocab);
    } else {
      for (std::size_t t = 0; t < rows; ++t) multiply(h + t * width, 1, logits + t * vocab);
    }
    for (std::size_t t = 0; t < rows; ++t) {
      on.fill(logits + t * vocab + known, vocab - known, std::numeric_limits<scalar>::lowest());
    }
  }
  if constexpr (V::spec.logit_cap != 0) on.soft_cap(logits, rows * vocab, V::spec.logit_cap);
  logits_of_the_last<V>(on, logits, rows * vocab);
}

/// The k greatest of the logits of one row; any other may be −∞.
///
/// guess   which were the greatest last time
template <Variant V, RanksProducts B>
void compute_best_logits(B& on, const weights<V>& w, const typename B::scalar* h, std::size_t k,
                         typename B::scalar* logits, std::vector<std::int32_t>& guess) {
  using scalar = typename B::scalar;
  constexpr std::size_t vocab = V::vocab;
  const std::size_t known = w.known_tokens();
  if constexpr (V::spec.ranks > 1) {
    on.join_best_products(w.head, h, k, V::spec.logit_cap, known, logits, guess);
  } else {
    if (ends_here<V>(on)) on.best_products(w.head, h, k, V::spec.logit_cap, logits, guess);
    if constexpr (V::spec.stages > 1) {
      on.hand_back_best(logits, known, k);
      if (on.rank() != 0) return;
    }
  }
  on.fill(logits + known, vocab - known, std::numeric_limits<scalar>::lowest());
  constexpr float cap = V::spec.logit_cap;
  if constexpr (cap != 0) composed::cap_known(on, logits, vocab, cap);
}

}  // namespace g4
