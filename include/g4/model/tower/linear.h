/// The stage `embed::linear<width{…}>`.
#pragma once

#include <type_traits>
#include <utility>

#include "g4/model/tower/part.h"

namespace g4 {

/// y = W·x + b
template <stage::linear S, int In, int Text>
struct stage_weights<S, In, Text> {
  struct no_bias {};

  matrix<S.width, In> weight;
  [[no_unique_address]] std::conditional_t<S.biased, vector<S.width>, no_bias> bias;

  template <class Visit>
  void each(Visit&& visit) {
    visit(stage_tensor{".weight", ".weight", stage_role::matrix, 2, {S.width, In}}, weight);
    if constexpr (S.biased) visit(stage_tensor{".bias", ".bias", stage_role::bias, 1, {S.width}}, bias);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    on.matmul(weight, p.x, p.rows, p.y);
    if constexpr (S.biased) on.add_bias(p.y, bias.data, p.rows, S.width);
    std::swap(p.x, p.y);
  }
};

}  // namespace g4
