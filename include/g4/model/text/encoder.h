/// A text read at once, every token seeing the others: no cache to keep, no position to come back to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "g4/backend/concept.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/text/inlay.h"
#include "g4/model/text/runner.h"
#include "g4/model/weights.h"

namespace g4 {

/// Memory of an encoder: its working memory, and one layer's keys and values, which all layers use in turn.
[[nodiscard]] constexpr memory_plan plan_encoder(const text_spec& m, const kind_table& kinds, std::size_t longest,
                                                 std::size_t scalar_bytes, storage keys_as) {
  std::size_t half = 0;
  for (int l = 0; l < m.layers; ++l) half = std::max(half, half_cache_bytes(m.layer[l], longest, keys_as));
  arena cache, scratch;
  (void)cache.take(half, 1);
  (void)cache.take(half, 1);
  (void)layout_text(m, kinds, longest, scalar_bytes, scratch);
  return {cache.total(), scratch.total()};
}

/// An encoder over shared weights. Mutable and single-threaded, like a session; it holds one text at a time.
template <Variant V, Backend B>
class text_encoder {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;
  static_assert(spec.sees == visibility::everything,
                "g4: an encoder is a variant with mask::bidirectional. A causal model has a session.");

  /// longest   the most tokens a text may have
  /// `w` and `on` must outlive it. Fails when the memory cannot be had.
  [[nodiscard]] static result<text_encoder> make(const weights<V>& w, B& on, std::size_t longest,
                                                 std::int64_t first_position = 0) {
    return guarded([&] { return make_of(w, on, longest, first_position); });
  }

  [[nodiscard]] std::size_t longest() const { return runner_.most(); }

  /// The final norm [T, D] of a whole text, in the backend's memory until the next call.
  /// Fails when the text is empty or too long, an id is outside the vocabulary, or something went wrong on the backend.
  [[nodiscard]] result<rows<spec.width, scalar>> encode(const prompt_view<scalar>& text) {
    return guarded([&] { return encoded(text); });
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
    for (int l = 0; l < spec.layers; ++l) {
      const layer_kind& k = spec.layer[l];
      made.layer_[l] = {made.keys_.data(),
                        made.keys_.data() + made.keys_.size() / 128 * 64,
                        longest,
                        static_cast<std::size_t>(k.key_value_heads),
                        static_cast<std::size_t>(k.head_size),
                        keys_as};
    }
    return made;
  }

  [[nodiscard]] result<rows<spec.width, scalar>> encoded(const prompt_view<scalar>& text) {
    const std::size_t count = text.ids.size();
    if (count == 0) return fail("encoder: there is nothing to run");
    if (count > longest()) {
      return fail("encoder: the text has ", count, " tokens; there is room for ", longest());
    }
    if (auto fits = check_inlays(text); !fits) return unexpected(std::move(fits.error()));
    if (auto known = check_ids(text, model_weights().embed.rows); !known) return unexpected(std::move(known.error()));
    stage_rows<V>(text, 0, 0, runner_.staged(count));
    const cache_view* const caches = layer_.data();
    runner_.run(count, &caches, text.inlays, {wanted_.get(), count});
    if (auto sound = failure_of(backend()); !sound) return unexpected(std::move(sound.error()));
    return rows<spec.width, scalar>{runner_.final_norm(), count};
  }

  explicit text_encoder(text_runner<V, B> runner) : runner_(std::move(runner)) {}

  text_runner<V, B> runner_;
  typename B::owned_memory keys_;
  std::array<cache_view, max_layers> layer_{};
  std::unique_ptr<std::int32_t[]> wanted_;
};

}  // namespace g4
