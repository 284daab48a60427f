/// The stage `into_text<…>`.
#pragma once

#include "g4/model/tower/part.h"

namespace g4 {

/// y = W·rms_norm(x), in the text's width; x is left normed.
template <stage::into_text S, int In, int Text>
struct stage_weights<S, In, Text> {
  matrix<Text, In> projection;

  template <class Visit>
  void each(Visit&& visit) {
    visit(stage_tensor{".weight", ".weight", stage_role::matrix, 2, {Text, In}}, projection);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    on.rms_norm(p.x, nullptr, p.rows, In, S.eps, p.x);
    on.matmul(projection, p.x, p.rows, p.out);
  }
};

}  // namespace g4
