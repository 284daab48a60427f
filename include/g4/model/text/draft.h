/// Running a drafter: a small model that reads its target's keys and values and guesses its next tokens.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "g4/backend/composed.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/stack/block.h"
#include "g4/model/stack/linear.h"
#include "g4/model/stack/pass.h"
#include "g4/model/stack/share.h"
#include "g4/model/text/plan.h"
#include "g4/model/text/session.h"

namespace g4 {

/// Drafts for one target session.
///
///     x      = pre_projection · [target_embed(id)·√D_target, carried]      carried: the target's final norm, then its own
///     h      = norm(blocks(x))                                             keys and values: the target's
///     id     = argmax head·h                                               no soft cap
///     carried = post_projection · h
///
/// All steps of a round stand at position n, the index of the token that is chosen but not yet run. A global layer sees
/// the n verified keys, a local one the newest window + 1 of them. With ordered embeddings only the tokens of the best
/// clusters are scored.
/// Source: transformers 5.23.0, modeling_gemma4_assistant.py.
template <class D, Backend B>
class draft_session {
 public:
  using scalar = typename B::scalar;
  using target = typename D::target;
  static constexpr text_spec spec = D::spec;

  /// `w` and `of` must outlive it. At most `of`'s batch of tokens is guessed at a time.
  /// Fails when the memory cannot be had.
  [[nodiscard]] static result<draft_session> make(const weights<D>& w, const session<target, B>& of) {
    return guarded([&] { return make_of(w, of); });
  }

 private:
  [[nodiscard]] static result<draft_session> make_of(const weights<D>& w, const session<target, B>& of) {
    draft_session made(w, of);
    B& on = of.backend();
    if (auto ready = make_ready(on, limits_of(spec, 1, of.options().context)); !ready)
      return unexpected(std::move(ready.error()));
    arena bytes;
    made.at_ = layout_text(spec, D::kinds, 1, sizeof(scalar), bytes);
    made.input_ = bytes.take(2 * static_cast<std::size_t>(spec.target->width), sizeof(scalar));
    made.carried_ = bytes.take(spec.target->width, sizeof(scalar));
    made.clusters_ = bytes.take(static_cast<std::size_t>(spec.clusters->count) + 1, sizeof(scalar));
    made.choice_ = bytes.take(spec.clusters->chosen, sizeof(std::int32_t));
    made.ordering_ = bytes.take(ordered ? spec.vocab : 0, sizeof(std::int32_t));
    made.guesses_ = bytes.take(of.options().batch + 1, sizeof(token_id));
    auto memory = on.take(bytes.total());
    if (!memory) return unexpected(std::move(memory.error()));
    made.memory_ = std::move(*memory);
    made.guessed_.reset(new (std::nothrow) token_id[of.options().batch + 1]);
    if (made.guessed_ == nullptr) return fail("there is no memory for ", of.options().batch, " guesses");
    put_frequencies<D>(on, made.template in<double>(made.at_.stack.frequencies));
    if constexpr (ordered) {
      on.put(w.token_ordering.data(), w.token_ordering.size(), made.template in<std::int32_t>(made.ordering_));
    }
    return made;
  }

 public:
  /// Guesses the `count` tokens that follow `id`, the target's choice after the tokens it has run; `count` is at most
  /// the target's batch.
  ///
  /// carried   the target's final norm [D_target] of its last verified token, on the host
  std::span<const token_id> draft(token_id id, std::size_t count, const scalar* carried) {
    B& on = target_->backend();
    count = std::min(count, target_->options().batch);
    on.put(carried, spec.target->width, in<scalar>(carried_));
    pass<B> p = begin_round(id);
    // Each step reads the token that the step before it wrote: the host waits for none of them.
    token_id* const ids = in<token_id>(guesses_);
    on.put(&id, 1, ids);
    for (std::size_t k = 0; k < count; ++k) step(p, ids + k, ids + k + 1);
    const token_id* const made = on.host(ids + 1, count, guessed_.get());
    return {made, count};
  }

  /// Shows the inner tensors of every step to `see` from now on: "draft.inputs", "draft.final_norm",
  /// "draft.centroid_logits" (with the chosen clusters as indices), "draft.logits", "draft.carried".
  void watch(tap<scalar> see) { see_ = watcher<B>(see); }

 private:
  static constexpr bool ordered = spec.clusters.has_value();

  draft_session(const weights<D>& w, const session<target, B>& of) : w_(&w), target_(&of) {}

  template <class T>
  [[nodiscard]] T* in(std::size_t offset) const {
    return reinterpret_cast<T*>(memory_.data() + offset);
  }

  /// What all steps of a round share: the visible keys and the angles of position n. The layers' own tensors are not shown.
  [[nodiscard]] pass<B> begin_round(token_id id) {
    B& on = target_->backend();
    for (int l = 0; l < spec.layers; ++l) caches_[l] = target_->cache(D::producer(l));
    of_text_ = caches_.data();
    const position n{static_cast<std::int64_t>(target_->size())};
    const pass_row row{n, n + 1, n, id, 0, 0};  // none of its own keys: its text ends in front of it
    pass<B> p{on, unseen_, memory_.data(), at_.stack};
    p.caches = &of_text_;
    p.stride = p.rows = 1;
    on.put(&row, 1, p.template in<pass_row>(p.at.rows));
    begin_rows<D>(p, target_->options().first_position);
    return p;
  }

  void step(pass<B>& p, const token_id* id, token_id* guess) {
    B& on = p.on;
    scalar* const input = in<scalar>(input_);
    on.embed(target_->model_weights().embed, id, 1, std::sqrt(static_cast<float>(spec.target->width)), input);
    on.copy(in<scalar>(carried_), spec.target->width, input + spec.target->width);
    see_(on, "draft.inputs", -1, input, 1, 2 * spec.target->width);
    const auto x = p.template scratch<spec.width>(p.at.stream);
    const auto normed = p.template scratch<spec.width>(p.at.normed);
    linear(on, w_->pre_projection, rows<2 * spec.target->width, scalar>{input, 1}, x);
    for (int l = 0; l < spec.layers; ++l) {
      with_kind_of_layer<D>(l, [&]<int Kind>() { decoder_block<D, Kind>(p, l, layer_of<Kind>(*w_, l)); });
    }
    norm_rows(on, x, w_->final_norm, spec.norm_eps, normed);
    see_(on, "draft.final_norm", -1, normed.data, 1, spec.width);
    if constexpr (ordered) {
      best_of_clusters(p, normed, guess);
    } else {
      best_of_all(p, normed, guess);
    }
    linear(on, w_->post_projection, normed, rows<spec.target->width, scalar>{in<scalar>(carried_), 1});
    see_(on, "draft.carried", -1, in<scalar>(carried_), 1, spec.target->width);
  }

  void best_of_all(pass<B>& p, rows<spec.width, scalar> h, token_id* guess) {
    const rows<spec.vocab, scalar> logits{in<scalar>(at_.logits), 1};
    if constexpr (shared_out<D>) {
      p.on.join_products(w_->head, h.data, 1, spec.vocab, logits.data);
    } else {
      linear(p.on, w_->head, h, logits);
    }
    see_(p.on, "draft.logits", -1, logits.data, 1, spec.vocab);
    p.on.best(logits.data, spec.vocab, guess);
  }

  void best_of_clusters(pass<B>& p, rows<spec.width, scalar> h, token_id* guess) {
    clusters_call<scalar> call;
    call.clusters = spec.clusters->count;
    call.chosen = spec.clusters->chosen;
    call.vocab = spec.vocab;
    call.h = h.data;
    call.scores = in<scalar>(clusters_);
    call.ordering = in<std::int32_t>(ordering_);
    call.choice = in<std::int32_t>(choice_);
    call.score = in<scalar>(clusters_) + spec.clusters->count;
    call.best = guess;
    call.logits = see_.watching() ? in<scalar>(at_.logits) : nullptr;
    linear(p.on, w_->centroids, h, rows<spec.clusters->count, scalar>{in<scalar>(clusters_), 1});
    if constexpr (shared_out<D>) {
      p.on.join_best_of_clusters(w_->embed, call);
    } else if constexpr (requires { p.on.best_of_clusters(w_->embed, call); }) {
      p.on.best_of_clusters(w_->embed, call);
    } else {
      composed::best_of_clusters(p.on, w_->embed, call);
    }
    see_(p.on, "draft.centroid_logits", -1, call.scores, 1, call.clusters, 1, call.choice, call.chosen);
    if (call.logits != nullptr) see_(p.on, "draft.logits", -1, call.logits, 1, spec.vocab);
  }

  const weights<D>* w_;
  const session<target, B>* target_;
  text_scratch at_{};
  std::size_t input_ = 0, carried_ = 0, clusters_ = 0, choice_ = 0, ordering_ = 0, guesses_ = 0;
  typename B::owned_memory memory_;
  std::unique_ptr<token_id[]> guessed_;
  std::array<cache_view, max_layers> caches_{};
  const cache_view* of_text_ = nullptr;
  watcher<B> see_, unseen_;
};

}  // namespace g4
