/// A text being run through a model: its cache, its working memory and how far it has come.
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
#include "g4/model/stack/stages.h"
#include "g4/model/text/head.h"
#include "g4/model/text/inlay.h"
#include "g4/model/text/kept.h"
#include "g4/model/text/plan.h"
#include "g4/model/text/runner.h"
#include "g4/model/weights.h"
#include "g4/tensor/own_rows.h"

namespace g4 {

/// One text over shared weights. Mutable and single-threaded; many sessions may share one set of weights.
///
/// Made once with all the memory it will ever use (`plan_session`): running tokens allocates nothing.
template <Variant V, Backend B>
class session {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;
  static_assert(spec.sees != visibility::everything,
                "g4: an encoder reads a text at once and has no session. See model/text/encoder.h.");

  /// Fails when the options leave no room for a token, the cache cannot be kept as they say, or the memory cannot be had.
  /// `on` and `w` must outlive the session.
  [[nodiscard]] static result<session> make(const weights<V>& w, B& on, session_options options = {}) {
    return guarded([&] { return make_of(w, on, options); });
  }

  /// What a session with such options takes, all of it when it is made. Of the backend's own memory it takes what the
  /// sessions before it have not.
  [[nodiscard]] static memory_plan plan(const B& on, const session_options& options) {
    memory_plan plan = plan_session(spec_here<V>(on), V::kinds, options, sizeof(scalar), on.cache_storage());
    if (plan.counted()) plan.working = working_bytes(on, limits(fitting(options)));
    return plan;
  }
  [[nodiscard]] memory_plan plan() const { return plan(backend(), options_); }
  [[nodiscard]] const session_options& options() const { return options_; }
  [[nodiscard]] static constexpr std::size_t vocabulary() { return spec.vocab; }
  /// Tokens run so far.
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Runs `prompt` after what was run before, in chunks, and returns the logits [V] that follow its last token.
  /// They stay valid until the next call.
  /// Fails, before anything has run, when an id is outside the vocabulary, the context is full, or a picture whose tokens
  /// see each other does not fit in one batch.
  /// Fails where something went wrong on the backend, as on a GPU it may: the session is not worth keeping then.
  /// Fails also where the backend needs memory that cannot be had: nothing has happened then, or, where the call was so
  /// long that it cannot be taken back, the session is empty.
  result<std::span<const scalar>> run(const prompt_view<scalar>& prompt) {
    return all_or_nothing([&]() -> result<std::span<const scalar>> {
      if (auto done = run_chunks(prompt, false, [](std::size_t, std::size_t) {}); !done)
        return unexpected(std::move(done.error()));
      const auto logits = last_logits();
      if (auto sound = failure_of(backend()); !sound) return unexpected(std::move(sound.error()));
      return logits;
    });
  }
  result<std::span<const scalar>> run(std::span<const token_id> ids) { return run(prompt_view<scalar>{ids}); }
  result<std::span<const scalar>> run(token_id id) { return run(std::span<const token_id>(&id, 1)); }

  /// Runs `id` and goes on with the likeliest token each time, where the backend can do that without waiting for the host
  /// (`RunsAhead`): `see(chosen)` is called for every token that was chosen, in order, a step or two after it was run, and says
  /// whether to go on. At most `most` are chosen, and none that would not fit into the context.
  ///
  /// Returns the logits of the last token that was run where the host is to choose: on another backend, of a session that is
  /// watched or embeds tokens apart, and where no token is the likeliest. Else it is over and there are none, and the last
  /// token that was chosen has not been run.
  /// The session is then as if it had waited for every choice: what was run beyond the end is not part of it, but for
  /// `rewind`, which counts from the furthest token that was ever run.
  template <class See>
  result<std::span<const scalar>> run_ahead(token_id id, std::size_t most, See&& see) {
    if constexpr (RunsAhead<B>) {
      if (most > 0 && !runner_.watched() && apart_[0].count == 0) {
        return guarded([&] { return run_without_host(id, most, see); });
      }
    }
    return run(id);
  }

  /// Runs `prompt` and calls `sink(t, logits)` for each of its tokens in order, t counted from the prompt's start.
  template <class Sink>
  result<std::size_t> run_all(const prompt_view<scalar>& prompt, Sink&& sink) {
    return all_or_nothing([&] {
      return run_chunks(prompt, true, [&](std::size_t first, std::size_t count) {
        each_logits(runner_, count, [&](std::size_t t, std::span<const scalar> logits) { sink(first + t, logits); });
      });
    });
  }

  /// Fails where `run` would, before anything has run.
  [[nodiscard]] result<void> check(const prompt_view<scalar>& prompt) const {
    const std::size_t count = prompt.ids.size();
    if (count == 0) return fail("session: there is nothing to run");
    if (count > options_.context - size_) {
      return fail("session: the context of ", options_.context, " tokens is full: ", size_, " are in it and ", count,
                  " more were given");
    }
    if (auto fits = check_inlays(prompt); !fits) return fits;
    if (auto known = check_ids(prompt, model_weights().embed.rows); !known) return known;
    for (const inlay<scalar>& one : prompt.inlays) {
      if (spec.sees_images() && one.is_picture && one.count > options_.batch) {
        return fail("session: an image has ", one.count, " tokens, more than the batch of ", options_.batch);
      }
    }
    return {};
  }

  /// Forgets the tokens from `size` on, so that others can be run in their place. A local layer keeps its window and one
  /// batch behind the furthest token that was ever run, so no more than a batch behind that one can be taken back; to
  /// nought always.
  result<std::size_t> rewind(std::size_t size) {
    if (size > size_) return fail("session: cannot rewind to ", size, " tokens, only ", size_, " have been run");
    if (size != 0 && furthest_ - size > options_.batch) {
      return fail("session: cannot rewind to ", size, " tokens: ", furthest_, " have been run, and at most a batch of ",
                  options_.batch, " of them can be taken back");
    }
    if (size == 0) furthest_ = 0;
    return size_ = size;
  }

  /// Another session that has run the same tokens, for a text that begins like this one. It takes what this one took, and
  /// a copy of the cache as far as that is filled; the two then know nothing of each other.
  [[nodiscard]] result<session> fork() const {
    return guarded([&]() -> result<session> {
      auto made = make_of(model_weights(), backend(), options_);
      if (!made) return made;
      const auto copy = [this](const std::byte* from, std::byte* to, std::size_t bytes) {
        backend().copy(from, bytes, to);
      };
      each_kept(spec, cache_.layers(), made->cache_.layers(), furthest_, copy);
      if (furthest_ > 0) backend().copy(runner_.hidden(), spec.width, made->runner_.hidden());
      made->resume(size_, furthest_);
      made->apart_ = apart_;
      return made;
    });
  }

  /// Calls body(p, bytes) for each stretch of the backend's memory that a text of which `furthest` tokens have been run is
  /// kept in, always in the same order: what a file of a text holds (`open/saved_text.h`).
  template <class Body>
  void each_kept_of(std::size_t furthest, Body&& body) const {
    if (furthest > 0) body(reinterpret_cast<std::byte*>(runner_.hidden()), spec.width * sizeof(scalar));
    const auto one = [&](std::byte* p, std::byte*, std::size_t bytes) { body(p, bytes); };
    each_kept(spec, cache_.layers(), cache_.layers(), furthest, one);
  }
  /// The most tokens that were in the cache at once since it was last empty.
  [[nodiscard]] std::size_t furthest() const { return furthest_; }
  /// Goes on from so many tokens, of `furthest` whose memory (`each_kept_of`) has been filled from elsewhere.
  void resume(std::size_t size, std::size_t furthest) {
    size_ = size;
    furthest_ = furthest;
  }

  /// The final norm [D] of the last token run: what a drafter continues from. On the host, until the next call.
  [[nodiscard]] std::span<const scalar> hidden() const { return runner_.row_on_host(runner_.hidden()); }
  /// The same of the t-th token of the last chunk of `run_all`.
  [[nodiscard]] std::span<const scalar> hidden_row(std::size_t t) const {
    return runner_.row_on_host(runner_.final_norm() + t * spec.width);
  }
  /// The most rows of a pass that are all computed as one row alone would be, to the bit: guesses are checked in no more.
  [[nodiscard]] std::size_t rows_alike() const { return g4::rows_alike(static_cast<const B&>(backend())); }
  /// Keys and values by producing layer.
  [[nodiscard]] const cache_view& cache(int layer) const { return cache_.layers()[layer]; }
  [[nodiscard]] const cache_view* caches() const { return cache_.layers(); }
  [[nodiscard]] const weights<V>& model_weights() const { return runner_.model_weights(); }
  [[nodiscard]] B& backend() const { return runner_.backend(); }

  /// Shows every inner tensor to `see` from now on.
  void watch(tap<scalar> see) { runner_.watch(see); }

  /// From now on ids of `apart` stand for its rows, wherever they come from, and not for the table's. Its rows must outlive
  /// the session. A model has two such embeddings at most, one for each of its senses; one without ids changes nothing.
  void embed_apart(const own_rows<scalar>& apart) {
    for (auto& one : apart_) {
      if (one.count != 0) continue;
      one = apart;
      return;
    }
  }

 private:
  [[nodiscard]] static constexpr work_limits limits(const session_options& options) {
    work_limits most = limits_of(spec, options.batch, options.context);
    if (options.best_logits != 0) most.ranked = spec.width;
    return most;
  }
  [[nodiscard]] static result<session> make_of(const weights<V>& w, B& on, session_options options) {
    if (options.context == 0 || options.batch == 0) return fail("session: context and batch must be at least 1");
    options = fitting(options);
    const memory_plan plan = session::plan(on, options);
    const auto too_large = [&] {
      return fail("session: ", plan.counted() ? "" : "more than ", plan.total(),
                  " bytes of cache and working memory could not be had; ask for a smaller context than ",
                  options.context, " or a smaller batch than ", options.batch);
    };
    if (!plan.counted() || !make_ready(on, limits(options))) return too_large();
    auto cache = text_cache<B>::make(on, spec_here<V>(on), options);
    if (!cache)
      return cache.error().message.starts_with("session") ? unexpected(std::move(cache.error())) : too_large();
    auto runner = text_runner<V, B>::make(w, on, options.batch, options.first_position);
    if (!runner) return too_large();
    session made(std::move(*cache), std::move(*runner), options);
    made.wanted_.reset(new (std::nothrow) std::int32_t[options.batch]);
    made.inlays_.reset(new (std::nothrow) inlay<scalar>[options.batch]);
    if (made.wanted_ == nullptr || made.inlays_ == nullptr) return too_large();
    made.guess_.reserve(std::min<std::size_t>(options.best_logits, spec.vocab));
    return made;
  }

  session(text_cache<B> cache, text_runner<V, B> runner, const session_options& options)
      : cache_(std::move(cache)), runner_(std::move(runner)), options_(options) {}

  /// Takes a call's tokens back where memory for it ran out. Where they are more than can be taken back nothing is
  /// left.
  template <class Call>
  auto all_or_nothing(Call&& call) -> decltype(call()) {
    const std::size_t before = size_;
    return guarded(call, [&] {
      size_ = before == 0 || furthest_ - before > options_.batch ? 0 : before;
      if (size_ == 0) furthest_ = 0;
    });
  }

  template <class Done>
  result<std::size_t> run_chunks(const prompt_view<scalar>& prompt, bool all_wanted, Done&& done) {
    if (auto fits = check(prompt); !fits) return unexpected(std::move(fits.error()));
    const std::size_t count = prompt.ids.size();
    for (std::size_t first = 0; first < count;) {
      const std::size_t length = chunk_length(prompt, first);
      const bool final = first + length == count;
      furthest_ = std::max(furthest_, size_ + length);  // also where the chunk fails: its first keys may be written
      run_chunk(prompt, first, length, all_wanted ? length : final ? 1 : 0);
      size_ += length;
      done(first, length);
      first += length;
    }
    if (all_wanted) {
      if (auto sound = failure_of(backend()); !sound) return unexpected(std::move(sound.error()));
    }
    return count;
  }

  /// At most a batch, and no picture cut in two: its tokens see each other.
  [[nodiscard]] std::size_t chunk_length(const prompt_view<scalar>& prompt, std::size_t first) const {
    const std::size_t left = prompt.ids.size() - first;
    if (left <= options_.batch) return left;
    const std::size_t end = first + options_.batch;
    for (const inlay<scalar>& one : prompt.inlays) {
      if (spec.sees_images() && one.is_picture && one.first < end && one.first + one.count > end) {
        return one.first - first;
      }
    }
    return options_.batch;
  }

  /// Runs tokens [first, first + count) of the prompt; the final norms of the last `wanted` of them are kept.
  void run_chunk(const prompt_view<scalar>& prompt, std::size_t first, std::size_t count, std::size_t wanted) {
    const auto staged = runner_.staged(count);
    stage_rows<V>(prompt, first, size_, staged);
    std::size_t laid = 0;
    for (inlay<scalar> one : prompt.inlays) {
      if (one.rows == nullptr || one.count == 0 || one.first + one.count <= first || one.first >= first + count)
        continue;
      const std::size_t cut = first > one.first ? first - one.first : 0;
      one.first = one.first + cut - first;
      one.count = std::min(one.count - cut, count - one.first);
      one.rows += cut * spec.width;
      inlays_[laid++] = one;
    }
    for (std::size_t t = 0; t < count; ++t) {
      for (const auto& apart : apart_) {  // an id under an inlay's rows has been staged as another
        if (!apart.has(staged[t].id)) continue;
        const auto row = static_cast<std::size_t>(staged[t].id - apart.first);
        inlays_[laid++] = {t, 1, apart.rows + row * spec.width, false};
      }
    }
    for (std::size_t i = 0; i < wanted; ++i) wanted_[i] = static_cast<std::int32_t>(count - wanted + i);
    const cache_view* const caches = cache_.layers();
    runner_.run(count, &caches, {inlays_.get(), laid}, {wanted_.get(), wanted});
    if (wanted > 0) backend().copy(runner_.final_norm() + (wanted - 1) * spec.width, spec.width, runner_.hidden());
  }

  template <class See>
  result<std::span<const scalar>> run_without_host(token_id id, std::size_t most, See&& see) requires RunsAhead<B> {
    const prompt_view<scalar> first{std::span<const token_id>(&id, 1)};
    if (auto fits = check(first); !fits) return unexpected(std::move(fits.error()));
    stage_rows<V>(first, 0, size_, runner_.staged(1));
    if (auto begun = runner_.begin_ahead(); !begun) return unexpected(std::move(begun.error()));
    const cache_view* const caches = cache_.layers();
    const std::size_t end = std::min(most, options_.context - size_);
    const std::size_t ahead = std::min(B::most_ahead, options_.batch);  // so that nothing run beyond the end forbids a rewind to it
    const std::size_t before = size_;
    // Steps that were asked for: none is left unseen, however this ends.
    struct steps_asked {
      text_runner<V, B>& of;
      std::size_t steps = 0;
      std::size_t seen = 0;
      void see_all() {
        while (seen < steps) static_cast<void>(of.chosen_ahead(seen++));
      }
      ~steps_asked() { see_all(); }
    };
    steps_asked asked{runner_};
    token_id last = id;  // of those that were run and are not beyond the end
    bool stuck = false;
    for (;;) {
      while (asked.steps < end && asked.steps <= asked.seen + ahead) {
        furthest_ = std::max(furthest_, before + asked.steps + 1);
        runner_.step_ahead(&caches, asked.steps);
        ++asked.steps;
      }
      const auto chosen = runner_.chosen_ahead(asked.seen++);
      if (!chosen) return unexpected(std::move(chosen.error()));
      ++size_;
      stuck = *chosen == no_token;
      if (stuck || !see(*chosen) || asked.seen == end) break;
      last = *chosen;
    }
    if (asked.seen < asked.steps) {  // `hidden` and the logits are of a token beyond the end: the last one's once more
      asked.see_all();
      --size_;
      run_chunk(prompt_view<scalar>{std::span<const token_id>(&last, 1)}, 0, 1, 1);
      ++size_;
    }
    if (auto sound = failure_of(backend()); !sound) return unexpected(std::move(sound.error()));
    return stuck ? last_logits() : std::span<const scalar>{};
  }
  std::span<const scalar> last_logits() {
    if constexpr (RanksProducts<B>) {
      if (options_.best_logits > 0) {
        compute_best_logits(backend(), model_weights(), runner_.hidden(), options_.best_logits, runner_.logits(), guess_);
        return runner_.logits_on_host(1);
      }
    }
    if constexpr (FindsGreatest<B>) {
      if (options_.best_logits > 0 && options_.best_logits <= B::most_greatest) {
        compute_logits(backend(), model_weights(), runner_.hidden(), 1, runner_.logits());
        return runner_.greatest_on_host(options_.best_logits);
      }
    }
    return runner_.logits_of(runner_.hidden(), 1);
  }

  text_cache<B> cache_;
  text_runner<V, B> runner_;
  session_options options_;
  std::size_t size_ = 0;
  std::size_t furthest_ = 0;  ///< tokens that were ever in the cache at once, since it was last empty
  std::unique_ptr<std::int32_t[]> wanted_;
  std::unique_ptr<inlay<scalar>[]> inlays_;
  std::array<own_rows<scalar>, 2> apart_{};
  std::vector<std::int32_t> guess_;  // which logits were the greatest last time
};

}  // namespace g4
