/// Texts to vectors: an encoder, the mean of its rows, and its dense heads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/load/dense_modules.h"
#include "g4/load/match.h"
#include "g4/load/weights.h"
#include "g4/model/text/encoder.h"
#include "g4/model/text/pooled.h"
#include "g4/open/checkpoint.h"
#include "g4/open/open.h"
#include "g4/text/embedding_task.h"

namespace g4 {

using text::embedding_task;
using text::with_task;

/// The steps from rows to a vector, each kept so that it can be looked at.
template <class Scalar>
struct text_embedding {
  std::vector<Scalar> pooled;              ///< [D] mean of all rows, first and last token included
  std::vector<std::vector<Scalar>> dense;  ///< after each head
  std::vector<Scalar> unit;                ///< the last of them, divided by its length: what is compared
};

/// An encoder with its heads, and the memory for the texts of one pass.
///
///     pooled = mean_t norm(encoder(ids))[t]
///     unit   = z / |z|,  z = dense_1 · dense_0 · pooled, of the widths in pooled_embedding; without it z = pooled
template <Variant V, Backend B>
class embedder {
 public:
  using scalar = typename B::scalar;
  static_assert(V::spec.sees == visibility::everything,
                "g4: an embedder needs an encoder: a variant with mask::bidirectional.");

  /// `on` must outlive it. `longest` is the most tokens a text may have, and those of a pass together.
  [[nodiscard]] static result<embedder> open(const checkpoint& from, B& on, std::size_t longest = 2048,
                                             const open_options& options = {}) {
    return guarded([&] { return open_of(from, on, longest, options); });
  }
  [[nodiscard]] static result<embedder> open(const std::string& path, B& on, std::size_t longest = 2048,
                                             const open_options& options = {}) {
    return guarded([&]() -> result<embedder> {
      const auto from = open_checkpoint(path);
      if (!from) return unexpected(from.error());
      return open_of(*from, on, longest, options);
    });
  }

  /// ids   the whole text as the model expects it: bos, text, eos
  /// Fails where the encoder does, and where the embedding is not finite.
  [[nodiscard]] result<text_embedding<scalar>> embed(std::span<const token_id> ids) {
    return guarded([&]() -> result<text_embedding<scalar>> {
      auto one = embedded({&ids, 1});
      if (!one) return unexpected(std::move(one.error()));
      return std::move(one->front());
    });
  }
  /// The same of many texts, in order: as many share a pass as have room in it, for short texts cost little more than the
  /// weights, which a pass reads once. In `numeric::exact` each has the bits that it has alone. All or none: an error names
  /// the first text that cannot be had, counted from 1.
  [[nodiscard]] result<std::vector<text_embedding<scalar>>> embed_each(std::span<const std::span<const token_id>> texts) {
    return guarded([&] { return each_embedded(texts); });
  }

  /// How many numbers a vector has.
  [[nodiscard]] std::size_t numbers() const {
    return static_cast<std::size_t>(has_heads ? V::spec.pooled->out : width);
  }

 private:
  static constexpr int width = V::spec.width;
  static constexpr bool has_heads = V::spec.pooled.has_value();
  static constexpr std::size_t widest =
      has_heads ? std::max({width, V::spec.pooled->hidden, V::spec.pooled->out}) : width;
  struct no_heads {};
  using heads_of_model = std::conditional_t<has_heads, std::shared_ptr<const weights<pooled_heads<V>>>, no_heads>;

  [[nodiscard]] static result<embedder> open_of(const checkpoint& from, B& on, std::size_t longest,
                                                const open_options& options) {
    auto weights = open_weights<V>(from, on, options);
    if (!weights) return unexpected(std::move(weights.error()));
    auto heads = open_heads(from, on, options.checks);
    if (!heads) return unexpected(std::move(heads.error()));
    auto encoder = text_encoder<V, B>::make(**weights, on, longest);
    if (!encoder) return unexpected(std::move(encoder.error()));
    auto memory = on.take(3 * encoder->most_texts() * widest * sizeof(scalar));
    if (!memory) {
      return fail("embedder: no memory for ", 3 * encoder->most_texts(), " rows of ", widest, " numbers");
    }
    return embedder(std::move(*weights), std::move(*heads), std::move(*encoder), std::move(*memory));
  }

  /// The heads that the type has, and no others.
  [[nodiscard]] static result<heads_of_model> open_heads(const checkpoint& from, B& on, const load::checks& look) {
    const bool gguf = from.format == load::format::gguf;
    auto modules = gguf ? result<io::tensor_file>(from.tensors) : load::open_dense_modules(from.path);
    if (!modules) return unexpected(std::move(modules.error()));
    if constexpr (has_heads) {
      return load::make_module<pooled_heads<V>>(*modules, from.format, "", on, look);
    } else if (gguf ? modules->find("dense_2.weight") != nullptr : !modules->tensors().empty()) {
      return fail(from.path, ": has dense heads behind the mean of its rows; ", load::variant_name<V>(),
                  " has none: add pooled_embedding{.hidden, .out}");
    }
    return heads_of_model{};
  }

  [[nodiscard]] result<std::vector<text_embedding<scalar>>> each_embedded(
      std::span<const std::span<const token_id>> texts) {
    std::vector<text_embedding<scalar>> all;
    all.reserve(texts.size());
    while (all.size() < texts.size()) {
      const auto left = texts.subspan(all.size());
      std::size_t several = 1;
      for (std::size_t tokens = left[0].size(); several < std::min(left.size(), encoder_.most_texts()); ++several) {
        tokens += left[several].size();
        if (tokens > encoder_.longest()) break;
      }
      auto some = embedded(left.first(several));
      // Which of them it was, they say one by one.
      for (std::size_t i = 0; !some && i < several; ++i) {
        if (auto one = embedded(left.subspan(i, 1)); !one) {
          return fail("text ", all.size() + i + 1, " of ", texts.size(), ": ", one.error().message);
        }
      }
      if (!some) return unexpected(std::move(some.error()));
      std::move(some->begin(), some->end(), std::back_inserter(all));
    }
    return all;
  }

  /// The texts of one pass.
  [[nodiscard]] result<std::vector<text_embedding<scalar>>> embedded(std::span<const std::span<const token_id>> texts) {
    const auto encoded = encoder_.encode_each(texts);
    if (!encoded) return unexpected(encoded.error());
    B& on = encoder_.backend();
    const std::size_t count = texts.size();
    std::vector<text_embedding<scalar>> out(count);
    const auto shown = [&](const scalar* row, std::size_t n) {
      std::vector<scalar> numbers(n);
      const scalar* const seen = on.host(row, n, numbers.data());
      if (seen != numbers.data()) std::copy_n(seen, n, numbers.data());
      return numbers;
    };
    const rows<width, scalar> mean{room(0), count};
    const scalar* row = encoded->data;
    for (std::size_t i = 0; i < count; ++i) {
      scalar* const mean_of_text = mean.data + i * width;
      on.mean_rows(row, texts[i].size(), width, mean_of_text);
      out[i].pooled = shown(mean_of_text, width);
      row += texts[i].size() * width;
    }
    scalar* x = mean.data;
    std::size_t n = width;
    if constexpr (has_heads) {
      const rows<V::spec.pooled->hidden, scalar> between{room(1), count};
      const rows<V::spec.pooled->out, scalar> end{room(2), count};
      linear(on, heads_->first, mean, between);
      linear(on, heads_->second, between, end);
      x = end.data;
      n = V::spec.pooled->out;
      for (std::size_t i = 0; i < count; ++i) {
        out[i].dense.push_back(shown(between.data + i * V::spec.pooled->hidden, V::spec.pooled->hidden));
        out[i].dense.push_back(shown(x + i * n, n));
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      on.unit(x + i * n, n, room(0));
      out[i].unit = shown(room(0), n);
      if (!std::all_of(out[i].unit.begin(), out[i].unit.end(), [](scalar s) { return std::isfinite(s); })) {
        return fail(
            "embedder: the embedding holds a NaN or an infinity; the weights are damaged, or the model overflowed");
      }
    }
    return out;
  }

  embedder(std::shared_ptr<const weights<V>> w, heads_of_model heads, text_encoder<V, B> e,
           typename B::owned_memory memory)
      : weights_(std::move(w)),
        heads_(std::move(heads)),
        encoder_(std::move(e)),
        memory_(std::move(memory)) {}

  /// Rows of every text of a pass, i = 0, 1, 2.
  [[nodiscard]] scalar* room(std::size_t i) const {
    return reinterpret_cast<scalar*>(memory_.data()) + i * encoder_.most_texts() * widest;
  }

  std::shared_ptr<const weights<V>> weights_;
  heads_of_model heads_;
  text_encoder<V, B> encoder_;
  typename B::owned_memory memory_;  // three rows for each text of a pass
};

}  // namespace g4
