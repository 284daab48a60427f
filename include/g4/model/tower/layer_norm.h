/// The stage `norm::layer`.
#pragma once

#include "g4/model/tower/part.h"

namespace g4 {

/// y = (x − mean) / √(variance + eps) · weight + bias
template <stage::layer_norm S, int In, int Text>
struct stage_weights<S, In, Text> {
  vector<In> weight, bias;

  template <class Visit>
  void each(Visit&& visit) {
    visit(stage_tensor{".weight", ".weight", stage_role::numbers, 1, {In}}, weight);
    visit(stage_tensor{".bias", ".bias", stage_role::bias, 1, {In}}, bias);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    on.layer_norm(p.x, weight.data, bias.data, p.rows, In, S.eps, p.x);
  }
};

}  // namespace g4
