/// The stage `into_text<norm::soft_and_hard, own_ids{…}>`.
#pragma once

#include <cstddef>

#include "g4/model/tower/part.h"

namespace g4 {

/// y = rms_norm(W·rms_norm(x)·soft), in the text's width; x is left normed. For the tower's own ids, with e a row of its own table:
///
///     y = rms_norm(W·rms_norm(e)·hard)
///
/// Source: transformers 5.23.0, Gemma3nMultimodalEmbedder of modeling_gemma3n.py.
template <stage::into_text_with_ids S, int In, int Text>
struct stage_weights<S, In, Text> {
  static constexpr std::size_t ids = S.count;

  matrix<S.count, In> own;
  vector<In> hard, soft;
  matrix<Text, In> projection;

  template <class Visit>
  void each(Visit&& visit) {
    using enum stage_role;
    visit(stage_tensor{"embedding.weight", "embedding.weight", stage_role::table, 2, {S.count, In}}, own);
    visit(stage_tensor{"hard_embedding_norm.weight", "hard_emb_norm.weight", numbers, 1, {In}}, hard);
    visit(stage_tensor{"soft_embedding_norm.weight", "soft_emb_norm.weight", numbers, 1, {In}}, soft);
    visit(stage_tensor{"embedding_projection.weight", "input_projection.weight", matrix, 2, {Text, In}}, projection);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    into_text(on, soft, p.x, p.rows, p.out);
  }

  /// The rows of the tower's own ids.
  ///
  /// numbers   [count] 0, 1, 2 …;  x [count, In] is worked in;  y [count, Text]
  template <class B>
  void embed(B& on, const token_id* numbers, typename B::scalar* x, typename B::scalar* y) const {
    on.embed(own, numbers, ids, 1.0f, x);
    into_text(on, hard, x, ids, y);
  }

 private:
  template <class B>
  void into_text(B& on, const vector<In>& scale, typename B::scalar* x, std::size_t n, typename B::scalar* y) const {
    on.rms_norm(x, scale.data, n, In, S.eps, x);
    on.matmul(projection, x, n, y);
    on.rms_norm(y, nullptr, n, Text, S.eps, y);
  }
};

}  // namespace g4
