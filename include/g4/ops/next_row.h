/// From the logits of a row to the row behind it, where the likeliest token is to be run next.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "g4/core/token_id.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// A row that has been run and its logits; all pointers are of the backend's memory.
///
///     chosen   the index of the greatest logit, the first of equals; none where a logit is no number, all are −∞, or the
///              token has no row in the table: somebody must look at the logits
///     row      becomes the row behind it, of the chosen token; of token 0 where there is none
template <class Scalar>
struct next_row_call {
  const Scalar* logits = nullptr;  ///< [V]
  std::size_t vocab = 0;           ///< V
  std::size_t known = 0;           ///< rows of the table
  std::size_t looked_up = 0;       ///< rows of the per-layer table
  pass_row* row = nullptr;
  token_id* chosen = nullptr;
};

namespace ops {

/// The row behind `row` in a text that is run token by token.
[[nodiscard]] constexpr pass_row next_row(pass_row row, token_id id, std::size_t looked_up) {
  row.at = row.at + 1;
  row.run_end = row.text_end = row.at + 1;
  row.id = id;
  row.looked_up = static_cast<std::size_t>(id) < looked_up ? id : 0;
  return row;
}

template <class Scalar>
void next_row(const next_row_call<Scalar>& call) {
  std::size_t best = 0;
  bool told = true;
  for (std::size_t i = 0; i < call.vocab; ++i) {
    told = told && !std::isnan(call.logits[i]);
    if (call.logits[i] > call.logits[best]) best = i;
  }
  told = told && best < call.known && !(std::isinf(call.logits[best]) && call.logits[best] < 0);
  *call.chosen = told ? static_cast<token_id>(best) : no_token;
  *call.row = next_row(*call.row, told ? *call.chosen : 0, call.looked_up);
}

}  // namespace ops
}  // namespace g4
