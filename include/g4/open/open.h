/// From a file to a model of a known type.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/load/match.h"
#include "g4/load/weights.h"
#include "g4/model/text/session.h"
#include "g4/model/whole.h"
#include "g4/open/checkpoint.h"
#include "g4/text/tokenizer.h"

namespace g4 {

struct open_options {
  load::checks checks = {};      ///< what to look for in the numbers
  load::progress progress = {};  ///< told how far loading has come
};

/// Weights and vocabulary of one checkpoint: constant, and shared by copies and by any number of sessions.
template <Variant V, Backend B>
class model {
 public:
  using variant = V;
  using backend = B;

  model(std::shared_ptr<const g4::weights<V>> w, std::shared_ptr<const text::tokenizer> vocabulary, B& on)
      : weights_(std::move(w)), tokenizer_(std::move(vocabulary)), on_(&on) {}

  /// A new, empty text. The model (or a copy of it) and the backend must outlive it.
  [[nodiscard]] result<g4::session<V, B>> session(session_options options = {}) const {
    return g4::session<V, B>::make(*weights_, *on_, options);
  }
  [[nodiscard]] const text::tokenizer& tokenizer() const { return *tokenizer_; }
  [[nodiscard]] const g4::weights<V>& weights() const { return *weights_; }
  [[nodiscard]] B& on() const { return *on_; }

 private:
  std::shared_ptr<const g4::weights<V>> weights_;
  std::shared_ptr<const text::tokenizer> tokenizer_;
  B* on_;
};

/// The weights of variant V from an opened checkpoint, without its vocabulary. Of a rank's share, those that are this rank's.
template <Variant V, Backend B>
[[nodiscard]] result<std::shared_ptr<const weights<V>>> open_weights(const checkpoint& from, B& on,
                                                                     const open_options& options = {}) {
  return guarded([&]() -> result<std::shared_ptr<const weights<V>>> {
    if (auto same = check_variant(from, whole_of<V>::spec, load::variant_name<whole_of<V>>()); !same) {
      return unexpected(std::move(same.error()));
    }
    return load::make_weights<V>(from.tensors, from.format, on, options.checks, options.progress);
  });
}

/// Fills variant V from an opened checkpoint.
template <Variant V, Backend B>
[[nodiscard]] result<model<V, B>> open(const checkpoint& from, B& on, const open_options& options = {}) {
  return guarded([&]() -> result<model<V, B>> {
    auto weights = open_weights<V>(from, on, options);
    if (!weights) return unexpected(std::move(weights.error()));
    auto vocabulary = from.shared_tokenizer();
    if (!vocabulary) return unexpected(std::move(vocabulary.error()));
    return model<V, B>(std::move(*weights), std::move(*vocabulary), on);
  });
}

/// Opens a checkpoint that is expected to be a V:
///
///     g4::backend::cpu on;
///     auto model = g4::open<g4::gemma3_270m>("gemma-3-270m-q4_k_m.gguf", on);
///
/// path   a GGUF file, or a folder with config.json, tokenizer.json and safetensors
/// on     the backend that will run it; must outlive the model
/// Fails with one sentence when the file is damaged, is another model (the differences are listed), or lacks a tensor.
template <Variant V, Backend B>
[[nodiscard]] result<model<V, B>> open(const std::string& path, B& on, const open_options& options = {}) {
  auto from = open_checkpoint(path);
  if (!from) return unexpected(std::move(from.error()));
  return open<V>(*from, on, options);
}

}  // namespace g4
