/// Running a drafter: a small model that reads its target's keys and values and guesses its next tokens.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/model/block.h"
#include "g4/model/frequencies.h"
#include "g4/model/linear.h"
#include "g4/model/pass.h"
#include "g4/model/session.h"
#include "g4/ops/rope.h"
#include "g4/ops/top_k.h"

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

  /// `w` and `of` must outlive it.
  [[nodiscard]] static result<draft_session> make(const weights<D>& w, const session<target, B>& of) {
    return draft_session(w, of);
  }

  /// Guesses the `count` tokens that follow `id`, the target's choice after the tokens it has run.
  ///
  /// carried   the target's final norm [D_target] of its last verified token
  std::span<const token_id> draft(token_id id, std::size_t count, const scalar* carried) {
    guesses_.clear();
    std::copy_n(carried, spec.target->width, carried_.data());
    prepare_round();
    for (std::size_t k = 0; k < count; ++k) guesses_.push_back(id = step(id));
    return guesses_;
  }

  /// Shows the inner tensors of every step to `see` from now on: "draft.inputs", "draft.final_norm",
  /// "draft.centroid_logits" (with the chosen clusters as indices), "draft.logits", "draft.carried".
  void watch(tap<scalar> see) { see_ = see; }

 private:
  static constexpr rope_table ropes = distinct_ropes(D::kinds);
  static constexpr bool ordered = spec.clusters.has_value();

  draft_session(const weights<D>& w, const session<target, B>& of)
      : w_(&w),
        target_(&of),
        layout_(layout_scratch(spec, D::kinds, 1)),
        memory_(layout_.total),
        input_(2 * spec.target->width),
        carried_(spec.target->width),
        clusters_(static_cast<std::size_t>(spec.clusters->count) + static_cast<std::size_t>(spec.clusters->chosen)),
        chosen_(static_cast<std::size_t>(spec.clusters->chosen)) {
    for (int r = 0; r < ropes.count; ++r) {
      const auto i = static_cast<std::size_t>(r);
      frequencies_[i] = rope_frequencies(ropes.rope[i], ropes.head_size[i]);
    }
    guesses_.reserve(64);
  }

  /// What all steps of a round share: the visible keys and the angles of position n.
  void prepare_round() {
    const auto n = static_cast<std::int64_t>(target_->size());
    for (int l = 0; l < spec.layers; ++l) caches_[static_cast<std::size_t>(l)] = target_->cache(D::producer(l));
    global_ = {position{0}, position{n}};
    local_ = global_;
    for (int l = 0; l < spec.layers; ++l) {
      const layer_kind& k = spec.layer[static_cast<std::size_t>(l)];
      if (k.sees == reach::local) local_.first = position{std::max<std::int64_t>(0, n - (k.keys.back + 2))};
    }
    const pass<D, B> p = make_pass();
    for (int r = 0; r < ropes.count; ++r) {
      ops::rope_angles(frequencies_[static_cast<std::size_t>(r)].data(), pass<D, B>::half(r),
                       target_->options().first_position + n, const_cast<scalar*>(p.cosines(r)),
                       const_cast<scalar*>(p.sines(r)));
    }
  }

  [[nodiscard]] pass<D, B> make_pass() {
    pass<D, B> p{target_->backend(), *w_, caches_.data(), memory_.data(), layout_, nullptr, {}};
    p.at = position{static_cast<std::int64_t>(target_->size())};
    p.tokens = p.batch = 1;
    p.local_keys = &local_;
    p.global_keys = &global_;
    return p;
  }

  token_id step(token_id id) {
    pass<D, B> p = make_pass();
    B& on = p.on;
    on.embed(target_->model_weights().embed, static_cast<std::size_t>(id),
             std::sqrt(static_cast<float>(spec.target->width)), input_.data());
    std::copy_n(carried_.data(), spec.target->width, input_.data() + spec.target->width);
    see_("draft.inputs", -1, input_.data(), 1, input_.size());
    linear(on, w_->pre_projection, rows<2 * spec.target->width, scalar>{input_.data(), 1}, p.stream());
    for (int l = 0; l < spec.layers; ++l) {
      with_kind_of_layer<D>(l, [&]<int Kind>() { decoder_block<Kind>(p, l); });
    }
    norm_rows(on, p.stream(), w_->final_norm, spec.norm_eps, p.normed());
    see_("draft.final_norm", -1, p.normed().data, 1, static_cast<std::size_t>(spec.width));
    const token_id guess = ordered ? best_of_clusters(p) : best_of_all(p);
    linear(on, w_->post_projection, p.normed(), rows<spec.target->width, scalar>{carried_.data(), 1});
    see_("draft.carried", -1, carried_.data(), 1, carried_.size());
    return guess;
  }

  token_id best_of_all(pass<D, B>& p) {
    const rows<spec.vocab, scalar> logits{memory_.data() + layout_.logits, 1};
    linear(p.on, w_->head, p.normed(), logits);
    see_("draft.logits", -1, logits.data, 1, static_cast<std::size_t>(spec.vocab));
    return static_cast<token_id>(std::max_element(logits.data, logits.data + spec.vocab) - logits.data);
  }

  token_id best_of_clusters(pass<D, B>& p) {
    if constexpr (ordered) {
      constexpr auto C = static_cast<std::size_t>(spec.clusters->count);
      constexpr auto k = static_cast<std::size_t>(spec.clusters->chosen);
      constexpr auto per_cluster = static_cast<std::size_t>(spec.vocab) / C;
      linear(p.on, w_->centroids, p.normed(), rows<spec.clusters->count, scalar>{clusters_.data(), 1});
      ops::top_k(clusters_.data(), C, k, chosen_.data());
      see_("draft.centroid_logits", -1, clusters_.data(), 1, C, 1, chosen_.data());

      scalar* const logits = memory_.data() + layout_.logits;
      scalar best = -std::numeric_limits<scalar>::infinity();
      scalar least = std::numeric_limits<scalar>::infinity();
      token_id guess = 0;
      const bool shown = see_.see != nullptr;
      if (shown) std::fill_n(logits, spec.vocab, best);
      for (std::size_t c = 0; c < k; ++c) {
        for (std::size_t j = 0; j < per_cluster; ++j) {
          const token_id id = w_->token_ordering[static_cast<std::size_t>(chosen_[c]) * per_cluster + j];
          scalar score = 0;
          p.on.matmul(w_->embed.slice(static_cast<std::size_t>(id), 1), p.normed().data, 1, &score);
          if (score > best || (score == best && id < guess)) {
            best = score;
            guess = id;
          }
          least = std::min(least, score);
          if (shown) logits[id] = score;
        }
      }
      if (shown) {
        // The reference gives every token of the other clusters the smallest score minus 1.
        for (int i = 0; i < spec.vocab; ++i) {
          if (logits[i] == -std::numeric_limits<scalar>::infinity()) logits[i] = least - 1;
        }
        see_("draft.logits", -1, logits, 1, static_cast<std::size_t>(spec.vocab));
      }
      return guess;
    } else {
      return 0;
    }
  }

  const weights<D>* w_;
  const session<target, B>* target_;
  scratch_layout layout_;
  std::vector<scalar> memory_, input_, carried_, clusters_;
  std::vector<std::int32_t> chosen_;
  std::vector<token_id> guesses_;
  std::array<cache_view, max_layers> caches_{};
  std::array<std::vector<double>, max_layers> frequencies_;
  key_range local_, global_;
  tap<scalar> see_;
};

}  // namespace g4
