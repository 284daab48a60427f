/// A checkpoint as a text embedder, for a program that knows the types it may have.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/generate/any_embedder.h"
#include "g4/generate/embedder.h"
#include "g4/load/match.h"
#include "g4/model/one_of.h"

namespace g4 {

namespace detail {

template <Variant V, Backend B>
class typed_embedder final : public any_embedder {
 public:
  typed_embedder(embedder<V, B> made, std::shared_ptr<const text::tokenizer> vocabulary)
      : made_(std::move(made)), tokenizer_(std::move(vocabulary)) {}
  [[nodiscard]] std::string_view variant() const override { return load::variant_name<V>(); }
  [[nodiscard]] const text::tokenizer& tokenizer() const override { return *tokenizer_; }
  [[nodiscard]] std::size_t numbers() const override { return made_.numbers(); }
  [[nodiscard]] result<std::vector<float>> embed(std::span<const token_id> ids) override {
    auto out = made_.embed(ids);
    if (!out) return unexpected(std::move(out.error()));
    return std::move(out->unit);
  }
  [[nodiscard]] result<std::vector<std::vector<float>>> embed_each(
      std::span<const std::span<const token_id>> texts) override {
    return guarded([&]() -> result<std::vector<std::vector<float>>> {
      auto all = made_.embed_each(texts);
      if (!all) return unexpected(std::move(all.error()));
      std::vector<std::vector<float>> vectors;
      vectors.reserve(all->size());
      for (auto& one : *all) vectors.push_back(std::move(one.unit));
      return vectors;
    });
  }

 private:
  embedder<V, B> made_;
  std::shared_ptr<const text::tokenizer> tokenizer_;
};

}  // namespace detail

/// Opens a checkpoint as an embedder of variant V, and forgets the type. Explicitly instantiated in `kernels/variants/`.
///
/// longest   the most tokens that a text may have
template <Variant V, Backend B>
[[nodiscard]] result<std::unique_ptr<any_embedder>> open_embedder_as(const checkpoint& from, B& on, std::size_t longest,
                                                                     const open_options& options) {
  static_assert(std::is_same_v<typename B::scalar, float>,
                "g4: any_embedder is for float backends; use embedder<V, B> with others.");
  return guarded([&]() -> result<std::unique_ptr<any_embedder>> {
    auto vocabulary = from.shared_tokenizer();
    if (!vocabulary) return unexpected(std::move(vocabulary.error()));
    auto opened = embedder<V, B>::open(from, on, longest, options);
    if (!opened) return unexpected(std::move(opened.error()));
    return std::unique_ptr<any_embedder>(
        std::make_unique<detail::typed_embedder<V, B>>(std::move(*opened), std::move(*vocabulary)));
  });
}

/// Opens a checkpoint that is any of the listed embedders. Fails as `open_any` does.
template <class Variants, Backend B>
[[nodiscard]] result<std::unique_ptr<any_embedder>> open_embedder(const checkpoint& from, B& on, std::size_t longest,
                                                                  const open_options& options = {}) {
  const auto among = [&]<class... V>(one_of<V...>) -> result<std::unique_ptr<any_embedder>> {
    std::optional<result<std::unique_ptr<any_embedder>>> opened;
    const bool found = ((load::differences(from.spec, V::spec, "", from.unsaid).empty() &&
                         (opened.emplace(open_embedder_as<V>(from, on, longest, options)), true)) ||
                        ...);
    if (found) return std::move(*opened);
    const load::nearest_variant near = load::nearest<V...>(from.spec, from.unsaid);
    return unexpected(not_the_variant(from, "any embedder of this program; the nearest is " + std::string(near.name),
                                      near.differences));
  };
  return guarded([&] { return among(Variants{}); });
}

}  // namespace g4
