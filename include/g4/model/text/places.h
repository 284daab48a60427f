/// The places of several texts, of whose rows one pass may be made.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/model/stack/stages.h"
#include "g4/model/text/kept.h"
#include "g4/model/text/plan.h"
#include "g4/model/text/runner.h"
#include "g4/model/text/session.h"
#include "g4/model/weights.h"

namespace g4 {

/// A cache for each of some texts, and the working memory that rows of all of them are run in together. Which text has which
/// place, and how far it has come, is the business of whoever stages the rows.
template <Variant V, Backend B>
class text_places {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;

  /// What so many places take, all of it when they are made.
  ///
  /// each   of every text; its `batch` is the most rows of a pass, more than its `context` perhaps
  [[nodiscard]] static memory_plan plan(const B& on, std::size_t texts, const session_options& each) {
    memory_plan plan = plan_session(spec_here<V>(on), V::kinds, each, sizeof(scalar), on.cache_storage());
    plan.cache = arena::product(texts, plan.cache);
    arena scratch;
    (void)layout_text(spec, V::kinds, each.batch, sizeof(scalar), scratch, logits_of(texts));
    plan.scratch = scratch.total();
    if (plan.counted()) plan.working = working_bytes(on, limits_of(spec, each.batch, each.context, logits_of(texts)));
    return plan;
  }

  /// Fails when the caches cannot be kept as asked for, or the memory cannot be had. `w` and `on` must outlive it.
  [[nodiscard]] static result<text_places> make(const weights<V>& w, B& on, std::size_t texts,
                                                const session_options& each) {
    if (auto ready = make_ready(on, limits_of(spec, each.batch, each.context, logits_of(texts))); !ready)
      return unexpected(std::move(ready.error()));
    auto runner = text_runner<V, B>::make(w, on, each.batch, each.first_position, logits_of(texts));
    if (!runner) return unexpected(std::move(runner.error()));
    text_places made(std::move(*runner));
    made.caches_.reserve(texts);
    for (std::size_t i = 0; i < texts; ++i) {
      auto cache = text_cache<B>::make(on, spec_here<V>(on), fitting(each));
      if (!cache) return unexpected(std::move(cache.error()));
      made.caches_.push_back(std::move(*cache));
      made.layers_.push_back(made.caches_.back().layers());
    }
    return made;
  }

  [[nodiscard]] std::size_t size() const { return caches_.size(); }
  [[nodiscard]] text_runner<V, B>& runner() { return runner_; }
  [[nodiscard]] const text_runner<V, B>& runner() const { return runner_; }
  /// Keys and values of one text by producing layer.
  [[nodiscard]] const cache_view* caches(std::size_t place) const { return layers_[place]; }

  /// Runs the first `count` rows that were staged in the runner; their `text` is a place.
  ///
  /// wanted   as of `text_runner::run`
  void run(std::size_t count, std::span<const std::int32_t> wanted) { runner_.run(count, layers_.data(), {}, wanted); }

  /// Copies what a session has run into a place. Both must keep it alike; the place must have room for its tokens.
  void copy(const session<V, B>& from, std::size_t place) {
    B& on = runner_.backend();
    each_kept_last(spec, from.caches(), from.size(), from.furthest(), layers_[place],
                   [&](const std::byte* p, std::byte* q, std::size_t bytes) { on.copy(p, bytes, q); });
  }

 private:
  /// A step's answers read the head once; beyond so many the memory of their logits would be all that grows.
  [[nodiscard]] static constexpr std::size_t logits_of(std::size_t texts) {
    return std::clamp<std::size_t>(texts, usual_logits, 32);
  }

  explicit text_places(text_runner<V, B> runner) : runner_(std::move(runner)) {}

  text_runner<V, B> runner_;
  std::vector<text_cache<B>> caches_;
  std::vector<const cache_view*> layers_;
};

}  // namespace g4
