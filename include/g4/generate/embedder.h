/// Texts to vectors: an encoder, the mean of its rows, and its dense heads.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/generate/checkpoint.h"
#include "g4/generate/open.h"
#include "g4/load/embedding_heads.h"
#include "g4/model/session.h"

namespace g4 {

/// What EmbeddingGemma was trained to find in front of a text. Source: its model card.
enum class embedding_task {
  query,
  document,
  question_answering,
  fact_verification,
  classification,
  clustering,
  similarity,
  code_retrieval
};

/// The text with the prefix of its task; a document's prefix holds its title, "none" where it has none.
[[nodiscard]] inline std::string with_task(embedding_task task, std::string_view text,
                                           std::string_view title = "none") {
  const auto prefixed = [text](std::string_view prefix) { return std::string(prefix) + std::string(text); };
  switch (task) {
    case embedding_task::query: return prefixed("task: search result | query: ");
    case embedding_task::document: return "title: " + std::string(title) + " | text: " + std::string(text);
    case embedding_task::question_answering: return prefixed("task: question answering | query: ");
    case embedding_task::fact_verification: return prefixed("task: fact checking | query: ");
    case embedding_task::classification: return prefixed("task: classification | query: ");
    case embedding_task::clustering: return prefixed("task: clustering | query: ");
    case embedding_task::similarity: return prefixed("task: sentence similarity | query: ");
    case embedding_task::code_retrieval: return prefixed("task: code retrieval | query: ");
  }
  return std::string(text);
}

/// The steps from rows to a vector, each kept so that it can be looked at.
template <class Scalar>
struct text_embedding {
  std::vector<Scalar> pooled;              ///< [D] mean of all rows, first and last token included
  std::vector<std::vector<Scalar>> dense;  ///< after each head
  std::vector<Scalar> unit;                ///< the last of them, divided by its length: what is compared
};

/// An encoder with its heads, and the memory to run one text at a time.
///
///     pooled = mean_t norm(encoder(ids))[t]
///     unit   = z / |z|,  z = dense_n · … · dense_1 · pooled
template <Variant V, Backend B>
class embedder {
 public:
  using scalar = typename B::scalar;
  static_assert(V::spec.sees == visibility::everything,
                "g4: an embedder needs an encoder: a variant with mask::bidirectional.");

  /// `on` must outlive it. `longest` is the most tokens a text may have.
  [[nodiscard]] static result<embedder> open(const std::string& path, B& on, std::size_t longest = 2048,
                                             const open_options& options = {}) {
    auto from = open_checkpoint(path);
    if (!from) return unexpected(std::move(from.error()));
    auto weights = open_weights<V>(*from, on, options);
    if (!weights) return unexpected(std::move(weights.error()));
    constexpr auto width = static_cast<std::size_t>(V::width);
    auto heads = from->format == load::format::gguf ? load::read_embedding_heads(from->tensors, width)
                                                    : load::read_embedding_heads(from->path, width);
    if (!heads) return unexpected(std::move(heads.error()));
    auto session = g4::session<V, B>::make(**weights, on, {.context = longest, .batch = longest});
    if (!session) return unexpected(std::move(session.error()));
    return embedder(std::move(*weights), std::move(*heads), std::move(*session), on);
  }

  /// ids   the whole text as the model expects it: bos, text, eos
  [[nodiscard]] result<text_embedding<scalar>> embed(std::span<const token_id> ids) {
    text_embedding<scalar> out;
    out.pooled.assign(static_cast<std::size_t>(V::width), 0);
    const auto ran = session_.run_hidden({ids, {}, {}, {}}, [&](std::size_t, rows<V::width, scalar> hidden) {
      for (std::size_t t = 0; t < hidden.count; ++t) {
        for (std::size_t i = 0; i < out.pooled.size(); ++i) out.pooled[i] += hidden(t, i);
      }
    });
    if (!ran) return unexpected(ran.error());
    for (scalar& x : out.pooled) x /= static_cast<scalar>(ids.size());
    const std::vector<scalar>* last = &out.pooled;
    out.dense.reserve(heads_.dense.size());
    for (const matrix_view& w : heads_.dense) {
      std::vector<scalar> y(w.rows);
      on_->matmul(w, last->data(), 1, y.data());
      last = &out.dense.emplace_back(std::move(y));
    }
    scalar squares = 0;
    for (const scalar x : *last) squares += x * x;
    out.unit = *last;
    for (scalar& x : out.unit) x /= std::sqrt(squares);
    return out;
  }

 private:
  embedder(std::shared_ptr<const weights<V>> w, load::embedding_heads heads, session<V, B> s, B& on)
      : weights_(std::move(w)), heads_(std::move(heads)), session_(std::move(s)), on_(&on) {}

  std::shared_ptr<const weights<V>> weights_;
  load::embedding_heads heads_;
  session<V, B> session_;
  B* on_;
};

}  // namespace g4
