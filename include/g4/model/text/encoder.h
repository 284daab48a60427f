/// Texts read at once, every token seeing the others of its text: no cache to keep, no position to come back to.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/text/inlay.h"
#include "g4/model/text/runner.h"
#include "g4/model/weights.h"

namespace g4 {

/// The most texts of a pass that has room for `longest` tokens: more would fill the processor no better.
[[nodiscard]] constexpr std::size_t encoded_at_once(std::size_t longest) { return std::min<std::size_t>(longest, 32); }

/// Memory of an encoder: its working memory, and one layer's keys and values, which all layers use in turn.
[[nodiscard]] constexpr memory_plan plan_encoder(const text_spec& m, const kind_table& kinds, std::size_t longest,
                                                 std::size_t scalar_bytes, storage keys_as) {
  std::size_t half = 0;
  for (int l = 0; l < m.layers; ++l) half = std::max(half, half_cache_bytes(m.layer[l], longest, keys_as));
  // The keys of each text begin at a multiple of 64 bytes.
  half = arena::sum(half, 64 * encoded_at_once(longest));
  arena cache, scratch;
  (void)cache.take(half, 1);
  (void)cache.take(half, 1);
  (void)layout_text(m, kinds, longest, scalar_bytes, scratch);
  return {cache.total(), scratch.total()};
}

/// An encoder over shared weights. Mutable and single-threaded, like a session; it holds the texts of one pass at a time.
template <Variant V, Backend B>
class text_encoder {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;
  static_assert(spec.sees == visibility::everything,
                "g4: an encoder is a variant with mask::bidirectional. A causal model has a session.");

  /// longest   the most tokens of a pass, of one text or of several together
  /// `w` and `on` must outlive it. Fails when the memory cannot be had.
  [[nodiscard]] static result<text_encoder> make(const weights<V>& w, B& on, std::size_t longest,
                                                 std::int64_t first_position = 0) {
    return guarded([&] { return make_of(w, on, longest, first_position); });
  }

  [[nodiscard]] std::size_t longest() const { return runner_.most(); }
  /// The most texts of a pass.
  [[nodiscard]] std::size_t most_texts() const { return layers_.size(); }

  /// The final norm [T, D] of a whole text, in the backend's memory until the next call.
  /// Fails when the text is empty or too long, an id is outside the vocabulary, or something went wrong on the backend.
  [[nodiscard]] result<rows<spec.width, scalar>> encode(const prompt_view<scalar>& text) {
    return guarded([&] { return encoded(text); });
  }

  /// The same of several texts in one pass, which reads the weights once: [ΣT, D], text after text. None sees another.
  /// In `numeric::exact` a row has the bits that it has alone.
  [[nodiscard]] result<rows<spec.width, scalar>> encode_each(std::span<const std::span<const token_id>> texts) {
    return guarded([&] { return each_encoded(texts); });
  }

  /// Encodes `text` and calls `sink(t, logits)` for each of its tokens in order.
  template <class Sink>
  result<std::size_t> run_all(const prompt_view<scalar>& text, Sink&& sink) {
    auto encoded = encode(text);
    if (!encoded) return unexpected(std::move(encoded.error()));
    each_logits(runner_, encoded->count, sink);
    return encoded->count;
  }

  [[nodiscard]] const weights<V>& model_weights() const { return runner_.model_weights(); }
  [[nodiscard]] B& backend() const { return runner_.backend(); }
  /// Shows every inner tensor to `see` from now on.
  void watch(tap<scalar> see) { runner_.watch(see); }

 private:
  [[nodiscard]] static result<text_encoder> make_of(const weights<V>& w, B& on, std::size_t longest,
                                                    std::int64_t first_position) {
    if (longest == 0) return fail("encoder: a text needs room for a token at least");
    const storage keys_as = on.cache_storage();
    memory_plan plan = plan_encoder(spec, V::kinds, longest, sizeof(scalar), keys_as);
    if (plan.counted()) plan.working = working_bytes(on, limits_of(spec, longest, longest));
    const auto too_large = [&] {
      return fail("encoder: ", plan.counted() ? "" : "more than ", plan.total(),
                  " bytes of working memory could not be had; ask for shorter texts than ", longest, " tokens");
    };
    if (!plan.counted() || !make_ready(on, limits_of(spec, longest, longest))) return too_large();
    auto keys = on.take(plan.cache);
    auto runner = text_runner<V, B>::make(w, on, longest, first_position);
    if (!keys || !runner) return too_large();
    text_encoder made(std::move(*runner));
    made.wanted_.reset(new (std::nothrow) std::int32_t[longest]);
    if (made.wanted_ == nullptr) return too_large();
    for (std::size_t i = 0; i < longest; ++i) made.wanted_[i] = static_cast<std::int32_t>(i);
    made.keys_ = std::move(*keys);
    made.layers_.resize(encoded_at_once(longest));
    for (const auto& of_text : made.layers_) made.caches_.push_back(of_text.data());
    return made;
  }

  [[nodiscard]] result<rows<spec.width, scalar>> encoded(const prompt_view<scalar>& text) {
    if (auto fits = check(text); !fits) return unexpected(std::move(fits.error()));
    begin_keys();
    stage(text, 0, 0);
    return run_staged(text.ids.size(), text.inlays);
  }

  [[nodiscard]] result<rows<spec.width, scalar>> each_encoded(std::span<const std::span<const token_id>> texts) {
    if (texts.empty()) return fail("encoder: there is nothing to run");
    if (texts.size() > most_texts()) {
      return fail("encoder: ", texts.size(), " texts; a pass has room for ", most_texts());
    }
    std::size_t count = 0;
    for (const auto text : texts) {
      if (auto fits = check({text}); !fits) return unexpected(std::move(fits.error()));
      count += text.size();
      if (count > longest()) {
        return fail("encoder: ", texts.size(), " texts have more than the ", longest(), " tokens that there is room for");
      }
    }
    begin_keys();
    std::size_t first = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      stage({texts[i]}, first, i);
      first += texts[i].size();
    }
    return run_staged(count, {});
  }

  [[nodiscard]] result<void> check(const prompt_view<scalar>& text) const {
    if (text.ids.empty()) return fail("encoder: there is nothing to run");
    if (text.ids.size() > longest()) {
      return fail("encoder: the text has ", text.ids.size(), " tokens; there is room for ", longest());
    }
    if (auto fits = check_inlays(text); !fits) return unexpected(std::move(fits.error()));
    return check_ids(text, model_weights().embed.rows);
  }

  /// Before the first text of a pass is staged.
  void begin_keys() { taken_.fill(0); }

  /// Makes the rows from `first` on those of `text`, the pass's text i, and gives it a place for the keys of each layer.
  void stage(const prompt_view<scalar>& text, std::size_t first, std::size_t i) {
    const std::size_t count = text.ids.size();
    const storage keys_as = backend().cache_storage();
    const std::size_t half = keys_.size() / 128 * 64;
    for (int l = 0; l < spec.layers; ++l) {
      const layer_kind& k = spec.layer[l];
      std::byte* const keys = keys_.data() + taken_[l];
      layers_[i][l] = {keys,
                       keys + half,
                       count,
                       static_cast<std::size_t>(k.key_value_heads),
                       static_cast<std::size_t>(k.head_size),
                       keys_as};
      taken_[l] += half_cache_bytes(k, count, keys_as);
    }
    stage_rows<V>(text, 0, 0, runner_.staged(first + count).subspan(first), static_cast<std::int32_t>(i));
  }

  [[nodiscard]] result<rows<spec.width, scalar>> run_staged(std::size_t count, std::span<const inlay<scalar>> inlays) {
    runner_.run(count, caches_.data(), inlays, {wanted_.get(), count});
    if (auto sound = failure_of(backend()); !sound) return unexpected(std::move(sound.error()));
    return rows<spec.width, scalar>{runner_.final_norm(), count};
  }

  explicit text_encoder(text_runner<V, B> runner) : runner_(std::move(runner)) {}

  text_runner<V, B> runner_;
  typename B::owned_memory keys_;
  static constexpr auto layers = static_cast<std::size_t>(spec.layers);
  std::array<std::size_t, layers> taken_{};            ///< by layer, bytes of `keys_` that texts of the pass have
  std::vector<std::array<cache_view, layers>> layers_;  ///< by text
  std::vector<const cache_view*> caches_;               ///< the same, as a pass takes them
  std::unique_ptr<std::int32_t[]> wanted_;
};

}  // namespace g4
