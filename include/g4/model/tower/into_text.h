/// The stage `into_text<…>`.
#pragma once

#include <type_traits>

#include "g4/model/tower/part.h"

namespace g4 {

/// y = W·rms_norm(x), in the text's width; x is left normed.
template <stage::into_text S, int In, int Text>
struct stage_weights<S, In, Text> {
  struct no_weight {};

  matrix<Text, In> projection;
  [[no_unique_address]] std::conditional_t<S.weighted, vector<In>, no_weight> weight;

  template <class Visit>
  void each(Visit&& visit) {
    if constexpr (S.weighted) {  // Gemma 3 keeps its projection the other way round: [In, Text]
      visit(stage_tensor{"mm_soft_emb_norm.weight", "soft_emb_norm.weight", stage_role::one_plus, 1, {In}}, weight);
      visit(stage_tensor{"mm_input_projection_weight", "input_projection.weight", stage_role::turned, 2, {In, Text}},
            projection);
    } else {
      visit(stage_tensor{".weight", ".weight", stage_role::matrix, 2, {Text, In}}, projection);
    }
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    const float* scale = nullptr;
    if constexpr (S.weighted) scale = weight.data;
    on.rms_norm(p.x, scale, p.rows, In, S.eps, p.x);
    on.matmul(projection, p.x, p.rows, p.out);
  }
};

}  // namespace g4
