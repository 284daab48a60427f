/// Rows of texts through a whole text model: embedding, layers, final norm.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/model/stack/block.h"
#include "g4/model/stack/pass.h"
#include "g4/model/stack/stages.h"
#include "g4/model/text/embed.h"
#include "g4/model/text/head.h"
#include "g4/model/text/inlay.h"
#include "g4/model/text/plan.h"
#include "g4/model/text/recorded.h"
#include "g4/model/weights.h"

namespace g4 {

/// The host's view of n numbers in the backend's memory; `room` grows where they must be fetched.
template <class B, class T>
[[nodiscard]] std::span<const T> host_view(B& on, const T* p, std::size_t n, std::vector<T>& room) {
  if constexpr (!B::owned_memory::host_readable) {
    if (room.size() < n) room.resize(n);
  }
  return {on.host(p, n, room.data()), n};
}

/// The keys and values of one text, in the backend's memory.
template <Backend B>
class text_cache {
 public:
  /// Fails when a layer's heads cannot be kept as the options say, or the memory cannot be had.
  [[nodiscard]] static result<text_cache> make(B& on, const text_spec& m, const session_options& options) {
    if (auto fits = check(on, m, options.cache); !fits) return unexpected(std::move(fits.error()));
    arena bytes;
    const cache_layout at = layout_caches(m, options, on.cache_storage(), bytes);
    auto memory = on.take(bytes.total());
    if (!memory) return unexpected(std::move(memory.error()));
    text_cache made;
    made.memory_ = std::move(*memory);
    for (int l = 0; l < m.layers; ++l) {
      const layer_kind& k = m.layer[l];
      if (k.role == cache_role::reuser || !m.has(l)) continue;
      made.layer_[l] = {made.memory_.data() + at.keys[l],
                        made.memory_.data() + at.values[l],
                        cache_slots(k, options.context, options.batch),
                        static_cast<std::size_t>(k.key_value_heads),
                        static_cast<std::size_t>(k.head_size),
                        cache_type(k, options.cache, on.cache_storage())};
    }
    return made;
  }

  /// By the layer that makes the keys.
  [[nodiscard]] const cache_view* layers() const { return layer_.data(); }

 private:
  [[nodiscard]] static result<void> check(const B& on, const text_spec& m, const cache_choice& choice) {
    for (int l = 0; l < m.layers; ++l) {
      const layer_kind& k = m.layer[l];
      const storage type = cache_type(k, choice, on.cache_storage());
      if (!on.caches(type)) {
        return fail("session: keys and values were asked for in ", facts_of(type).name, "; this backend keeps them in ",
                    facts_of(on.cache_storage()).name, " or Q8_0");
      }
      if (k.role == cache_role::owner && row_bytes(type, static_cast<std::size_t>(k.head_size)) == 0) {
        return fail("session: layer ", l, " has heads of ", k.head_size, " numbers; to keep keys and values in ",
                    facts_of(type).name, " they must be a multiple of ", facts_of(type).block_elements);
      }
    }
    return {};
  }

  typename B::owned_memory memory_;
  std::array<cache_view, max_layers> layer_{};
};

/// Refuses ids outside a table of `known` rows: a GGUF of Gemma 3 may leave out the last, unused ones.
template <class Scalar>
[[nodiscard]] result<void> check_ids(const prompt_view<Scalar>& prompt, std::size_t known) {
  auto laid = prompt.inlays.begin();
  for (std::size_t t = 0; t < prompt.ids.size(); ++t) {
    while (laid != prompt.inlays.end() && t >= laid->first + laid->count) ++laid;
    if (laid != prompt.inlays.end() && laid->rows != nullptr && t >= laid->first) continue;
    const token_id id = prompt.ids[t];
    if (id < 0 || static_cast<std::size_t>(id) >= known) {
      return fail("session: token id ", id, " is outside the vocabulary of ", known);
    }
  }
  return {};
}

/// Tokens [first, first + rows.size()) of a prompt as rows of a pass. `size` tokens of their text are in the cache before.
template <Variant V, class Scalar>
void stage_rows(const prompt_view<Scalar>& prompt, std::size_t first, std::size_t size, std::span<pass_row> rows,
                std::int32_t text = 0) {
  const auto place = [](std::size_t n) { return position{static_cast<std::int64_t>(n)}; };
  auto laid = prompt.inlays.begin();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t t = first + i;
    while (laid != prompt.inlays.end() && t >= laid->first + laid->count) ++laid;
    const bool inside = laid != prompt.inlays.end() && t >= laid->first;
    const bool soft = inside && laid->rows != nullptr;
    pass_row& row = rows[i];
    row.at = place(size + i);
    row.run_end = inside && laid->is_picture ? place(size + laid->first + laid->count - first) : place(size + i + 1);
    row.text_end = place(size + rows.size());
    row.id = soft ? 0 : prompt.ids[t];
    row.looked_up = row.id < V::spec.per_layer->vocab ? row.id : 0;
    row.text = text;
  }
}

/// Calls sink(t, logits) for the final norms of the last run, a few at a time.
template <class Runner, class Sink>
void each_logits(Runner& runner, std::size_t count, Sink&& sink) {
  constexpr std::size_t vocab = Runner::spec.vocab;
  const std::size_t most = runner.logits_at_once();
  for (std::size_t t = 0; t < count; t += most) {
    const std::size_t n = std::min(most, count - t);
    const auto logits = runner.logits_of(runner.final_norm() + t * Runner::spec.width, n);
    for (std::size_t i = 0; i < n; ++i) sink(t + i, logits.subspan(i * vocab, vocab));
  }
}

/// What a runner needs to go on without the host; nothing on a backend that cannot.
template <class B>
struct ahead_of_host {};
template <RunsAhead B>
struct ahead_of_host<B> {
  typename B::mailbox box;
  [[no_unique_address]] recorded_steps<B> steps;
};

/// Runs rows, of one text or of several, through model V, with working memory for a number of them at a time.
template <Variant V, Backend B>
class text_runner {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;

  /// most             rows of a pass
  /// first_position   what the first token of a text is turned by
  /// logits           rows of a pass whose logits are computed at once
  /// Fails when the memory cannot be had. `w` and `on` must outlive it.
  [[nodiscard]] static result<text_runner> make(const weights<V>& w, B& on, std::size_t most,
                                                std::int64_t first_position,
                                                std::size_t logits = usual_logits) {
    text_runner made(w, on, most, first_position, logits);
    arena bytes;
    made.at_ = layout_text(spec, V::kinds, most, sizeof(scalar), bytes, logits);
    auto memory = on.take(bytes.total());
    if (!memory) return unexpected(std::move(memory.error()));
    made.memory_ = std::move(*memory);
    made.rows_.reset(new (std::nothrow) pass_row[most]);
    if (made.rows_ == nullptr) return fail("there is no memory for ", most, " rows");
    put_frequencies<V>(on, made.template in<double>(made.at_.stack.frequencies));
    return made;
  }

  /// Where the rows of the next pass are written before `run`.
  [[nodiscard]] std::span<pass_row> staged(std::size_t count) { return {rows_.get(), count}; }

  /// Runs the first `count` staged rows.
  ///
  /// caches   of their texts
  /// inlays   rows laid into them, `first` counted from the first row
  /// wanted   the rows whose final norm is wanted, in order: they are then the rows of `final_norm`. None: only keys and
  ///          values are made.
  void run(std::size_t count, text_caches caches, std::span<const inlay<scalar>> inlays,
           std::span<const std::int32_t> wanted) {
    std::size_t texts = 1;
    for (const pass_row& row : staged(count)) texts = std::max(texts, static_cast<std::size_t>(row.text) + 1);
    const pass<B> p = pass_of(count, texts, caches, wanted);
    on_->put(rows_.get(), count, p.template in<pass_row>(p.at.rows));
    if constexpr (RecordsSteps<B>) {
      if (count <= on_->recorded_rows() && inlays.empty() && !see_.watching()) {
        return steps_.run(*on_, count, caches, p.texts, wanted, [&] { run_step(p, inlays); });
      }
    }
    run_step(p, inlays);
  }

  // ---- Rows that follow each other without the host ------------------------------------------------------------------

  /// How many steps `step_ahead` may have asked for that `chosen_ahead` has not been asked about.
  [[nodiscard]] static constexpr std::size_t slots_ahead() requires RunsAhead<B> { return B::most_ahead + 1; }
  /// The first staged row is what the next `step_ahead` runs. Fails where what the host waits with cannot be had.
  [[nodiscard]] result<void> begin_ahead() requires RunsAhead<B> {
    if (ahead_.box.get() == nullptr) {
      auto made = on_->mailbox_of(slots_ahead());
      if (!made) return unexpected(std::move(made.error()));
      ahead_.box = std::move(*made);
    }
    on_->put(rows_.get(), 1, in<pass_row>(at_.stack.rows));
    return {};
  }
  /// Runs the row that lies in the backend's memory, and leaves there the row of the token that is the likeliest behind it:
  /// `hidden` and `logits` are of the row that was run, and the token comes to `chosen_ahead(step)`.
  void step_ahead(text_caches caches, std::size_t step) requires RunsAhead<B> {
    static constexpr std::int32_t first = 0;
    const pass<B> p = pass_of(1, 1, caches, {&first, 1});
    const auto body = [&] {
      run_step(p, {});
      on_->copy(final_norm(), spec.width, hidden());
      compute_logits(*on_, *w_, hidden(), 1, logits());
      on_->next_row(next_row_call<scalar>{logits(), spec.vocab, static_cast<std::size_t>(w_->embed.rows),
                                          static_cast<std::size_t>(spec.per_layer->vocab),
                                          in<pass_row>(at_.stack.rows), best()});
    };
    if constexpr (RecordsSteps<B>) {
      if (on_->recorded_rows() > 0) {
        ahead_.steps.run(*on_, 1, caches, 1, p.wanted, body);
      } else {
        body();
      }
    } else {
      body();
    }
    on_->send(ahead_.box, step % slots_ahead(), best());
  }
  /// What step `step` chose; none where the host is to look at its logits. Waits for that step alone.
  [[nodiscard]] result<token_id> chosen_ahead(std::size_t step) requires RunsAhead<B> {
    return on_->receive(ahead_.box, step % slots_ahead());
  }
  [[nodiscard]] bool watched() const { return see_.watching(); }

  /// The final norm of the wanted rows of the last run [wanted, D], in the backend's memory.
  [[nodiscard]] scalar* final_norm() const { return in<scalar>(at_.stack.normed); }
  /// Room for one row that outlives a run [D], in the backend's memory.
  [[nodiscard]] scalar* hidden() const { return in<scalar>(at_.hidden); }
  [[nodiscard]] scalar* logits() const { return in<scalar>(at_.logits); }
  [[nodiscard]] token_id* best() const { return in<token_id>(at_.best); }

  /// Logits of final norms h [rows, D], at most `logits_at_once` of them: [rows, V] on the host, until the next call.
  [[nodiscard]] std::span<const scalar> logits_of(const scalar* h, std::size_t rows) {
    compute_logits(*on_, *w_, h, rows, logits());
    return logits_on_host(rows);
  }
  [[nodiscard]] std::span<const scalar> logits_on_host(std::size_t rows) {
    return host_view(*on_, const_cast<const scalar*>(logits()), rows * spec.vocab, logits_room_);
  }
  /// The k greatest of the row of `logits` on the host, all others −∞; k is at most the backend's `most_greatest`.
  [[nodiscard]] std::span<const scalar> greatest_on_host(std::size_t k) requires FindsGreatest<B> {
    constexpr scalar unknown = -std::numeric_limits<scalar>::infinity();
    k = std::min<std::size_t>(k, spec.vocab);
    if (greatest_room_.empty()) greatest_room_.assign(spec.vocab, unknown);
    const auto known = [](token_id id) {
      return id >= 0 && id < V::vocab;
    };  // of a device that failed nothing is known
    for (const token_id id : greatest_ids_) {
      if (known(id)) greatest_room_[static_cast<std::size_t>(id)] = unknown;
    }
    greatest_ids_.assign(k, 0);
    greatest_values_.resize(k);
    on_->greatest(logits(), spec.vocab, k, greatest_ids_.data(), greatest_values_.data());
    for (std::size_t i = 0; i < k; ++i) {
      if (known(greatest_ids_[i])) greatest_room_[static_cast<std::size_t>(greatest_ids_[i])] = greatest_values_[i];
    }
    return greatest_room_;
  }
  /// A row of D numbers on the host, until the next call.
  [[nodiscard]] std::span<const scalar> row_on_host(const scalar* row) const {
    return host_view(*on_, row, spec.width, row_room_);
  }

  void watch(tap<scalar> see) { see_ = watcher<B>(see); }
  [[nodiscard]] std::size_t most() const { return most_; }
  [[nodiscard]] std::size_t logits_at_once() const { return logits_; }
  [[nodiscard]] B& backend() const { return *on_; }
  [[nodiscard]] const weights<V>& model_weights() const { return *w_; }

 private:
  text_runner(const weights<V>& w, B& on, std::size_t most, std::int64_t first_position, std::size_t logits)
      : w_(&w), on_(&on), most_(most), logits_(logit_rows(most, logits)), first_position_(first_position) {}

  template <class T>
  [[nodiscard]] T* in(std::size_t offset) const {
    return reinterpret_cast<T*>(memory_.data() + offset);
  }

  [[nodiscard]] pass<B> pass_of(std::size_t rows, std::size_t texts, text_caches caches,
                                std::span<const std::int32_t> wanted) {
    pass<B> p{*on_, see_, memory_.data(), at_.stack};
    p.caches = caches;
    p.texts = texts;
    p.stride = most_;
    p.rows = rows;
    p.wanted = wanted;
    return p;
  }

  /// A pass over rows that are in the backend's memory. Of what it asks of the backend nothing depends on their numbers.
  void run_step(pass<B> p, std::span<const inlay<scalar>> inlays) {
    begin_rows<V>(p, first_position_);
    if constexpr (spec.stages > 1) {
      run_stage(p, inlays);
    } else {
      embed_rows<V>(p, *w_, inlays, in<scalar>(at_.per_layer_room));
      run_layers(p, 0, spec.layers);
      end_rows(p);
    }
  }

  /// Layers [first, end) of all.
  void run_layers(pass<B>& p, int first, int end) {
    // Behind the last keys that are written, only the rows that are wanted need to go on.
    constexpr int owners = spec.shared_layers > 0 ? spec.first_shared() : spec.layers;
    if (p.wanted.size() < p.rows) p.narrows_at = owners - 1;
    int l = first;
    for (; l < std::min(owners, end) && !cut_short(); ++l) run_layer_of(p, l);
    if (end < owners) return;
    keep_wanted<V>(p);  // where a layer does not narrow inside
    if (p.rows == 0) return;
    for (; l < end && !cut_short(); ++l) run_layer_of(p, l);
  }

  /// The final norm of the rows that are left.
  void end_rows(pass<B>& p) {
    if (p.rows == 0) return;
    if constexpr (spec.altup.has_value()) end_streams<V>(p, w_->altup_unembed_projections);
    const auto normed = p.template scratch<spec.width>(p.at.normed);
    norm_rows(*on_, p.template scratch<spec.width>(p.at.stream), w_->final_norm, spec.norm_eps, normed);
    p.show("final_norm", -1, normed.data, spec.width);
  }

  /// A pass over this rank's layers: rows come from the stage before and go on to the one behind. Of those that are wanted the leader
  /// has the final norm in the end. Where none are, nobody waits for who comes later.
  void run_stage(pass<B>& p, std::span<const inlay<scalar>> inlays) requires JoinsStages<B> {
    const text_spec& here = spec_here<V>(*on_);
    if (!here.begins()) see_ = {};
    embed_rows<V>(p, *w_, inlays, in<scalar>(at_.per_layer_room), here.begins());
    if (!here.begins() && take_over<V>(p)) see_ = watcher<B>(tap_of_the_leader<V>(*on_));
    run_layers(p, here.layers_before, spec.layers - here.layers_behind);
    if (here.ends()) {
      end_rows(p);
    } else {
      hand_over<V>(p);
    }
    if (see_.watching()) {
      if (here.begins()) {
        show_what_others_tell<V>(*on_, see_);
      } else {
        tell_the_last(*on_);
      }
    }
    if (!p.wanted.empty()) on_->hand_back(final_norm(), p.wanted.size() * spec.width);
  }

  /// Whether a rank is lost: `failure_of` says so, and nothing more need be computed.
  [[nodiscard]] bool cut_short() const {
    if constexpr (!spec.in_one_piece() && JoinsRanks<B>) return on_->lost();
    return false;
  }

  void run_layer_of(pass<B>& p, int l) {
    with_kind_of_layer<V>(l, [&]<int Kind>() { run_layer<V, Kind>(p, l, layer_of<Kind>(*w_, l)); });
  }

  const weights<V>* w_;
  B* on_;
  std::size_t most_;
  std::size_t logits_;
  std::int64_t first_position_;
  text_scratch at_{};
  typename B::owned_memory memory_;
  std::unique_ptr<pass_row[]> rows_;
  std::vector<scalar> logits_room_;
  mutable std::vector<scalar> row_room_;
  watcher<B> see_;
  [[no_unique_address]] recorded_steps<B> steps_;
  [[no_unique_address]] ahead_of_host<B> ahead_;
  std::vector<token_id> greatest_ids_;  // of `greatest_on_host`
  std::vector<scalar> greatest_values_, greatest_room_;
};

}  // namespace g4
