/// A model that is shared out among ranks, opened: rank 0 leads, the others follow.
///
///     g4::backend::joined<g4::backend::cpu, g4::comm::mpi> on(*ranks, {.mode = g4::backend::numeric::fast});
///     auto model = g4::open<g4::sharded<g4::gemma4_31b, g4::tensor_parallel<2>>>(path, on);    // on every rank
///     if (!model) return complain(model.error());
///     if (!on.leads()) return model->follow() ? 0 : 1;          // until the leader's model is gone
///     auto session = model->session({.context = 8192});         // from here on as on one machine
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/backend/joined.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/one_of.h"
#include "g4/model/sharded.h"
#include "g4/model/text/places.h"
#include "g4/model/text/session.h"
#include "g4/open/agree.h"
#include "g4/open/any_model.h"
#include "g4/open/leading.h"
#include "g4/open/open.h"
#include "g4/open/saved_ranks.h"

namespace g4 {

namespace detail {

/// A follower's share of a drafter, bound to a text: it guesses what the leader's does, as `draft_session::draft`.
template <class Scalar>
class drafts_here {
 public:
  virtual ~drafts_here() = default;
  virtual void draft(token_id id, std::size_t count, const Scalar* carried) = 0;
};
/// The same, for any text of the model.
template <Shared V, Backend B>
class drafter_here {
 public:
  virtual ~drafter_here() = default;
  [[nodiscard]] virtual result<std::unique_ptr<drafts_here<typename B::scalar>>> beside(const session<V, B>& text) const = 0;
};
/// Those that were opened for a model, in order.
template <Shared V, Backend B>
using drafters_here = std::vector<std::unique_ptr<drafter_here<V, B>>>;

/// A follower's side: the texts and batches that the leader has, as far as they are this rank's.
template <Shared V, Backend B>
class following {
 public:
  using scalar = typename B::scalar;

  following(const weights<V>& w, B& on, const drafters_here<V, B>& drafters) : w_(w), on_(on), drafters_(drafters) {}

  /// Does what the leader says until it says no more.
  result<void> run() {
    for (;;) {
      command said;
      if (auto told = on_.await(&said, sizeof said); !told) return told;
      if (said.what == command::to::end) return {};
      if (auto done = obey(said); !done) return done;
      if (on_.lost()) return on_.failure();
    }
  }

 private:
  struct numbered_text {
    std::uint32_t number;
    std::unique_ptr<session<V, B>> here;
    std::vector<std::shared_ptr<typename B::owned_memory>> apart;  ///< forks share them
  };
  struct numbered_drafter {
    std::uint32_t number;
    std::unique_ptr<drafts_here<scalar>> here;
  };
  struct numbered_batch {
    std::uint32_t number;
    std::unique_ptr<text_places<V, B>> here;
  };

  result<void> obey(const command& said) {
    using to = command::to;
    if (said.what == to::make) return make(said);
    if (said.what == to::make_batch) return make_batch(said);
    if (const auto places = by_number(batches_, said.text); places != batches_.end()) {
      switch (said.what) {
        case to::drop: batches_.erase(places); return {};
        case to::join: return join(said, *places->here);
        default: return step(said, *places->here);
      }
    }
    if (const auto drafter = by_number(drafting_, said.text); drafter != drafting_.end()) {
      if (said.what == to::draft) return draft(said, *drafter->here);
      drafting_.erase(drafter);
      return {};
    }
    const auto found = by_number(texts_, said.what == to::draft_beside ? said.inlays : said.text);
    if (found == texts_.end()) return not_here();
    if (said.what == to::draft_beside) return draft_beside(said, *found->here);
    switch (said.what) {
      case to::drop: texts_.erase(found); return {};
      case to::fork: return fork(static_cast<std::uint32_t>(said.inlays), *found);
      case to::rewind: {
        if (auto done = found->here->rewind(said.count); !done) return unexpected(std::move(done.error()));
        return {};
      }
      case to::save: return kept_of_ranks<V, B>(*found->here, found->here->furthest()).gather([](auto) {});
      case to::restore: {
        if (auto done = kept_of_ranks<V, B>(*found->here, said.inlays).spread(nullptr); !done) return done;
        found->here->resume(said.count, said.inlays);
        return {};
      }
      case to::apart: {
        auto rows = heard(said.count * V::width);
        if (!rows) return unexpected(std::move(rows.error()));
        found->here->embed_apart({static_cast<token_id>(said.inlays), said.count, reinterpret_cast<const scalar*>(rows->data())});
        found->apart.push_back(std::make_shared<typename B::owned_memory>(std::move(*rows)));
        return {};
      }
      default: return run(said, *found->here);
    }
  }

  [[nodiscard]] unexpected not_here() const {
    return fail("rank ", on_.rank(), ": the leader speaks of a text that is not here");
  }
  template <class Numbered>
  [[nodiscard]] static auto by_number(Numbered& all, std::uint64_t number) {
    return std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.number == number; });
  }

  /// Keeps what has been made if all ranks could. Where one could not, the leader knows, and goes on without.
  template <class Made, class Keep>
  result<void> keep(Made&& made, Keep&& in) {
    if (agree(on_, made)) in(std::move(*made));
    return {};
  }
  result<void> make(const command& said) {
    return keep(session<V, B>::make(w_, on_, said.options), [&](session<V, B> text) {
      texts_.push_back({said.text, std::make_unique<session<V, B>>(std::move(text)), {}});
    });
  }
  result<void> fork(std::uint32_t number, const numbered_text& of) {
    return keep(of.here->fork(), [&, apart = of.apart](session<V, B> text) {
      texts_.push_back({number, std::make_unique<session<V, B>>(std::move(text)), apart});
    });
  }
  result<void> make_batch(const command& said) {
    return keep(text_places<V, B>::make(w_, on_, said.count, said.options), [&](text_places<V, B> places) {
      batches_.push_back({said.text, std::make_unique<text_places<V, B>>(std::move(places))});
    });
  }

  result<void> draft_beside(const command& said, const session<V, B>& text) {
    if (said.count >= drafters_.size()) return not_here();
    return keep(drafters_[said.count]->beside(text), [&](std::unique_ptr<drafts_here<scalar>> one) {
      drafting_.push_back({said.text, std::move(one)});
    });
  }
  result<void> draft(const command& said, drafts_here<scalar>& here) {
    carried_.resize(V::width);
    if (auto told = on_.broadcast(carried_.data(), carried_.size() * sizeof(scalar)); !told) return told;
    here.draft(said.ids[0], said.count, carried_.data());
    return {};
  }

  result<void> join(const command& said, text_places<V, B>& places) {
    const auto after = by_number(texts_, said.inlays);
    if (after == texts_.end() || said.count >= places.size()) return not_here();
    places.copy(*after->here, said.count);
    return {};
  }
  result<void> step(const command& said, text_places<V, B>& places) {
    auto& runner = places.runner();
    if (said.count > runner.most() || said.inlays > said.count) return not_here();
    const auto rows = runner.staged(said.count);
    if (auto told = on_.broadcast(rows.data(), rows.size_bytes()); !told) return told;
    wanted_.resize(said.inlays);
    if (!wanted_.empty()) {
      if (auto told = on_.broadcast(wanted_.data(), wanted_.size() * sizeof(std::int32_t)); !told) return told;
    }
    for (const pass_row& row : rows) {
      if (row.text < 0 || static_cast<std::size_t>(row.text) >= places.size()) return not_here();
    }
    const rows_kept_alike<B> alike(on_);
    places.run(said.count, wanted_);
    each_logits(runner, wanted_.size(), [](std::size_t, auto) {});
    return {};
  }

  result<void> run(const command& said, session<V, B>& text) {
    ids_.assign(said.ids.begin(), said.ids.begin() + std::min<std::size_t>(said.count, command::few));
    if (said.count > command::few) {
      ids_.resize(said.count);
      if (auto told = on_.broadcast(ids_.data(), ids_.size() * sizeof(token_id)); !told) return told;
    }
    inlays_.clear();
    rows_.clear();
    for (std::uint64_t i = 0; i < said.inlays; ++i) {
      told_inlay one;
      if (auto told = on_.broadcast(&one, sizeof one); !told) return told;
      inlays_.push_back({one.first, one.count, nullptr, one.is_picture != 0});
      if (one.has_rows == 0) continue;
      auto rows = heard(one.count * V::width);
      if (!rows) return unexpected(std::move(rows.error()));
      inlays_.back().rows = reinterpret_cast<const scalar*>(rows->data());
      rows_.push_back(std::move(*rows));
    }
    const prompt_view<scalar> prompt{ids_, inlays_};
    if (said.what == command::to::run_all) {
      if (auto done = text.run_all(prompt, [](std::size_t, auto) {}); !done) return unexpected(std::move(done.error()));
    } else if (auto done = text.run(prompt); !done) {
      return unexpected(std::move(done.error()));
    }
    return {};
  }

  /// n numbers of the leader's, in the backend's memory.
  result<typename B::owned_memory> heard(std::size_t n) {
    auto room = on_.take(n * sizeof(scalar));
    if (!room) return room;
    if (auto told = on_.broadcast(room->data(), n * sizeof(scalar)); !told) return unexpected(std::move(told.error()));
    return room;
  }

  const weights<V>& w_;
  B& on_;
  const drafters_here<V, B>& drafters_;
  std::vector<numbered_text> texts_;
  std::vector<numbered_drafter> drafting_;  // goes away before the texts
  std::vector<numbered_batch> batches_;
  std::vector<token_id> ids_;
  std::vector<std::int32_t> wanted_;
  std::vector<inlay<scalar>> inlays_;
  std::vector<typename B::owned_memory> rows_;
  std::vector<scalar> carried_;
};

}  // namespace detail

/// A text on the leader: a `session` whose every call the followers make as well. All texts of a model are used from one
/// thread.
template <Shared V, Backend B>
class led_session {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;

  [[nodiscard]] static result<led_session> make(std::shared_ptr<detail::leading<B>> ranks, const weights<V>& w, B& on,
                                                const session_options& options) {
    return guarded([&]() -> result<led_session> {
      const std::uint32_t number = ranks->next_number();
      if (auto told = ranks->tell({detail::command::to::make, number, 0, 0, options, {}}); !told)
        return unexpected(std::move(told.error()));
      return where_all_can(std::move(ranks), number, session<V, B>::make(w, on, options));
    });
  }
  led_session(led_session&&) noexcept = default;
  led_session& operator=(led_session&&) noexcept = delete;

  [[nodiscard]] memory_plan plan() const { return own_.plan(); }
  [[nodiscard]] const session_options& options() const { return own_.options(); }
  [[nodiscard]] static constexpr std::size_t vocabulary() { return spec.vocab; }
  [[nodiscard]] std::size_t size() const { return own_.size(); }
  [[nodiscard]] std::size_t rows_alike() const { return own_.rows_alike(); }
  [[nodiscard]] std::span<const scalar> hidden() const { return own_.hidden(); }
  [[nodiscard]] std::span<const scalar> hidden_row(std::size_t t) const { return own_.hidden_row(t); }
  [[nodiscard]] const weights<V>& model_weights() const { return own_.model_weights(); }
  [[nodiscard]] B& backend() const { return own_.backend(); }
  /// Shows what all ranks have: all inner tensors but those of heads.
  void watch(tap<scalar> see) { own_.watch(see); }

  /// As `session::run`. Fails also where a rank is lost, with a sentence that says which; the model cannot go on then.
  result<std::span<const scalar>> run(const prompt_view<scalar>& prompt) {
    if (auto told = tell(detail::command::to::run, prompt); !told) return unexpected(std::move(told.error()));
    return own_.run(prompt);
  }
  result<std::span<const scalar>> run(std::span<const token_id> ids) { return run(prompt_view<scalar>{ids}); }
  result<std::span<const scalar>> run(token_id id) { return run(std::span<const token_id>(&id, 1)); }

  template <class Sink>
  result<std::size_t> run_all(const prompt_view<scalar>& prompt, Sink&& sink) {
    if (auto told = tell(detail::command::to::run_all, prompt); !told) return unexpected(std::move(told.error()));
    return own_.run_all(prompt, std::forward<Sink>(sink));
  }

  result<std::size_t> rewind(std::size_t size) {
    auto done = own_.rewind(size);
    if (!done) return done;
    detail::command said = led_.to(detail::command::to::rewind);
    said.count = size;
    if (auto told = led_.ranks().tell(said); !told) return unexpected(std::move(told.error()));
    return done;
  }

  /// As `session::fork`.
  [[nodiscard]] result<led_session> fork() const {
    return guarded([&]() -> result<led_session> {
      const std::uint32_t number = led_.ranks().next_number();
      detail::command said = led_.to(detail::command::to::fork);
      said.inlays = number;
      if (auto told = led_.ranks().tell(said); !told) return unexpected(std::move(told.error()));
      return where_all_can(led_.shared(), number, own_.fork());
    });
  }

  /// As `session::embed_apart`. The followers have rows of their own.
  result<void> embed_apart(const own_rows<scalar>& apart) {
    if (apart.count == 0) return {};
    detail::command said = led_.to(detail::command::to::apart);
    said.count = apart.count;
    said.inlays = static_cast<std::uint64_t>(apart.first);
    if (auto told = led_.ranks().tell(said); !told) return told;
    if (auto told = led_.ranks().show(apart.rows, apart.count * spec.width); !told) return told;
    own_.embed_apart(apart);
    return {};
  }

  /// Goes on from so many tokens, whose stretches of `furthest` the file of a saved text has (`open/saved_ranks.h`).
  result<void> resume(std::size_t size, std::size_t furthest, const std::byte* file) {
    detail::command said = led_.to(detail::command::to::restore);
    said.count = size;
    said.inlays = furthest;
    if (auto told = led_.ranks().tell(said); !told) return told;
    if (auto done = detail::kept_of_ranks<V, B>(own_, furthest).spread(file); !done) return done;
    own_.resume(size, furthest);
    return {};
  }

  /// This rank's part of the text, and what the others know it by.
  [[nodiscard]] const session<V, B>& own() const { return own_; }
  [[nodiscard]] const detail::led<B>& by_number() const { return led_; }

 private:
  led_session(std::shared_ptr<detail::leading<B>> ranks, std::uint32_t number, session<V, B> own)
      : led_(std::move(ranks), number), own_(std::move(own)) {}

  [[nodiscard]] static result<led_session> where_all_can(std::shared_ptr<detail::leading<B>> ranks,
                                                         std::uint32_t number, result<session<V, B>> own) {
    if (auto all = agree(ranks->on(), own); !all) return unexpected(std::move(all.error()));
    return led_session(std::move(ranks), number, std::move(*own));
  }
  /// Nothing is told that would be refused.
  result<void> tell(detail::command::to what, const prompt_view<scalar>& prompt) {
    return guarded([&]() -> result<void> {
      if (auto fits = own_.check(prompt); !fits) return fits;
      return led_.ranks().tell(led_.to(what), prompt, spec.width);
    });
  }

  detail::led<B> led_;
  session<V, B> own_;
};

/// One rank's share of the weights, and the vocabulary. Copies share them.
template <Variant V, class Plan, Backend B>
class model<sharded<V, Plan>, B> {
 public:
  using variant = sharded<V, Plan>;
  using backend = B;

  model(std::shared_ptr<const g4::weights<variant>> w, std::shared_ptr<const text::tokenizer> vocabulary, B& on)
      : weights_(std::move(w)), tokenizer_(std::move(vocabulary)), on_(&on) {
    if (on.leads()) ranks_ = std::make_shared<detail::leading<B>>(on);
  }

  /// A new, empty text, on the leader.
  [[nodiscard]] result<led_session<variant, B>> session(session_options options = {}) const {
    if (!on_->leads()) return fail("rank ", on_->rank(), ": texts are rank 0's; the others follow");
    return led_session<variant, B>::make(ranks_, *weights_, *on_, options);
  }
  /// Does on this rank what the leader's texts ask for, until the leader's model is gone. Fails where a rank is lost.
  [[nodiscard]] result<void> follow() const {
    if (on_->leads()) return fail("rank 0 leads, and follows nobody");
    return guarded([&] { return detail::following<variant, B>(*weights_, *on_, *drafters_).run(); });
  }

  [[nodiscard]] const text::tokenizer& tokenizer() const { return *tokenizer_; }
  [[nodiscard]] const g4::weights<variant>& weights() const { return *weights_; }
  [[nodiscard]] B& on() const { return *on_; }
  /// On the leader: what its batches speak to the others by.
  [[nodiscard]] const std::shared_ptr<detail::leading<B>>& ranks() const { return ranks_; }
  /// What was opened beside it on this rank (`open/drafter_on_ranks.h`).
  [[nodiscard]] detail::drafters_here<variant, B>& drafters() const { return *drafters_; }

 private:
  std::shared_ptr<const g4::weights<variant>> weights_;
  std::shared_ptr<const text::tokenizer> tokenizer_;
  B* on_;
  std::shared_ptr<detail::leading<B>> ranks_;
  std::shared_ptr<detail::drafters_here<variant, B>> drafters_ = std::make_shared<detail::drafters_here<variant, B>>();
};

namespace detail {

/// Fails on all ranks unless each found the same checkpoint of V, and works as the others do.
///
/// from   what this rank found at the path; null with `why` where it found nothing
template <Shared V, Backend B>
[[nodiscard]] result<void> agree_on_checkpoint(const checkpoint* from, const error& why, B& on) {
  using whole = whole_of<V>;
  constexpr std::string_view name = load::variant_name<whole>();
  if (on.ranks() != V::plan::ranks) {
    return fail(name, ": this model is shared out among ", V::plan::ranks, " ranks; ", on.ranks(), " were started");
  }
  result<void> fine = from == nullptr ? result<void>(unexpected(why)) : check_variant(*from, whole::spec, name);
  if (auto all = agree(on, fine); !all) return all;
  rank_record mine;
  version.copy(mine.version.data(), mine.version.size());
  name_within(mine.variant.size(), name).copy(mine.variant.data(), mine.variant.size());
  mine.checkpoint = io::fingerprint_of(from->tensors);
  for (const io::stored_tensor& t : from->tensors.tensors()) mine.bytes += t.bytes.size();
  if constexpr (requires { on.mode(); }) mine.mode = static_cast<std::int64_t>(on.mode());
  mine.divides_sums = V::spec.divides_sums;
  if constexpr (V::spec.stages > 1) {
    std::string cuts = "cut before";
    for (int s = 1; s < V::plan::ranks; ++s) cuts += " " + std::to_string(V::of_stage[static_cast<std::size_t>(s)].layers_before);
    name_within(mine.cuts.size(), cuts).copy(mine.cuts.data(), mine.cuts.size());
  }
  mine.arithmetic = arithmetic_of(on);
  return agree_on(on, mine);
}

/// This rank's share of the weights.
template <Shared V, Backend B>
[[nodiscard]] result<std::shared_ptr<const weights<V>>> open_share(const checkpoint* from, const error& why, B& on,
                                                                   const open_options& options) {
  if (auto all = agree_on_checkpoint<V>(from, why, on); !all) return unexpected(std::move(all.error()));
  auto weights = guarded([&] {
    return load::make_weights<V>(from->tensors, from->format, on, options.checks, options.progress);
  });
  if (auto all = agree(on, weights); !all) return unexpected(std::move(all.error()));
  return weights;
}

template <Shared V, Backend B>
[[nodiscard]] result<model<V, B>> open_shared(const checkpoint* from, const error& why, B& on,
                                              const open_options& options) {
  auto weights = open_share<V>(from, why, on, options);
  if (!weights) return unexpected(std::move(weights.error()));
  auto vocabulary = from->shared_tokenizer();
  if (auto all = agree(on, vocabulary); !all) return unexpected(std::move(all.error()));
  return model<V, B>(std::move(*weights), std::move(*vocabulary), on);
}

}  // namespace detail

/// `open` on every rank. Fails on all of them where one cannot open its file, or differs from the others in g4's version,
/// the file, the mode, or its machine's arithmetic.
template <Shared V, Backend B>
[[nodiscard]] result<model<V, B>> open(const checkpoint& from, B& on, const open_options& options = {}) {
  return guarded([&] { return detail::open_shared<V>(&from, {}, on, options); });
}
template <Shared V, Backend B>
[[nodiscard]] result<model<V, B>> open(const std::string& path, B& on, const open_options& options = {}) {
  return guarded([&] {
    auto from = open_checkpoint(path);
    return detail::open_shared<V>(from ? &*from : nullptr, from ? error{} : from.error(), on, options);
  });
}

/// Opens a checkpoint that is any of the listed variants, on as many ranks as were started:
///
///     auto model = g4::open_over<g4::one_of<g4::gemma4_31b, g4::gemma4_26b_a4b>, g4::rank_counts<1, 2, 4>>(path, on);
///     if (!on.leads()) return model && (*model)->follow() ? 0 : 1;
///
/// How   whether sums are divided among the ranks
template <class Variants, class Counts, sums How = sums::whole, Backend B>
[[nodiscard]] result<std::unique_ptr<any_model>> open_over(const result<checkpoint>& from, B& on,
                                                           const open_options& options = {}) {
  using opened = result<std::unique_ptr<any_model>>;
  return guarded([&]() -> opened {
    if (auto all = agree(on, from); !all) return unexpected(std::move(all.error()));
    const auto with = [&]<int R, class... V>(one_of<V...>) -> opened {
      std::string refused;
      ((load::differences(from->spec, V::spec, "", from->unsaid).empty() && !heads_divide(V::spec, R) &&
        (refused = load::variant_name<V>(), true)),
       ...);
      if (!refused.empty()) return fail(from->path, ": the heads of ", refused, " do not divide among ", R, " ranks");
      return open_any<one_of<std::conditional_t<heads_divide(V::spec, R), sharded<V, tensor_parallel<R, How>>, V>...>>(*from, on, options);
    };
    const auto among = [&]<int... R>(rank_counts<R...>) -> opened {
      std::optional<opened> done;
      std::string counts;
      ((counts += (counts.empty() ? "" : ", ") + std::to_string(R),
        on.ranks() == R && (done.emplace(with.template operator()<R>(Variants{})), true)),
       ...);
      if (done) return std::move(*done);
      return fail("this program was built for ", counts, " ranks; ", on.ranks(), " were started");
    };
    return among(Counts{});
  });
}
template <class Variants, class Counts, sums How = sums::whole, Backend B>
[[nodiscard]] result<std::unique_ptr<any_model>> open_over(const std::string& path, B& on,
                                                           const open_options& options = {}) {
  return open_over<Variants, Counts, How>(open_checkpoint(path), on, options);
}

namespace detail {

/// The stages of a pipeline, as people write its cuts.
template <class... Cuts>
[[nodiscard]] std::string cuts_text(pipeline<Cuts...>) {
  std::string text;
  ((text += (text.empty() ? "" : ",") + std::to_string(Cuts::layer)), ...);
  return text;
}
template <class... Cuts>
[[nodiscard]] constexpr bool is_cut_before(pipeline<Cuts...>, std::span<const int> cuts) {
  constexpr std::array<int, sizeof...(Cuts)> own{Cuts::layer...};
  return std::equal(own.begin(), own.end(), cuts.begin(), cuts.end());
}
template <Variant V, class... Cuts>
[[nodiscard]] constexpr bool can_be_cut_as(pipeline<Cuts...>) {
  int before = 0;
  return ((can_be_cut_before(V::spec, Cuts::layer) && Cuts::layer > before && (before = Cuts::layer, true)) && ...);
}

/// Calls see(pipeline) for every pipeline that a program has of V: the most even ones of these numbers of stages, and those of a
/// list that V can be cut as.
template <Variant V, int... Stages, class... Listed, class See>
constexpr void each_pipeline_of(rank_counts<Stages...>, pipelines<Listed...>, See&& see) {
  const auto even = [&]<int N>(std::integral_constant<int, N>) {
    if constexpr (N > 1 && last_cut(V::spec) >= N - 1) see(even_pipeline<V, N>{});
  };
  const auto listed = [&]<class P>(P) {
    if constexpr (can_be_cut_as<V>(P{})) see(P{});
  };
  (even(std::integral_constant<int, Stages>{}), ...);
  (listed(Listed{}), ...);
}

}  // namespace detail

/// Opens a checkpoint that is any of the listed variants in stages, one on each of the ranks that were started:
///
///     auto model = g4::open_in_stages<g4::one_of<g4::gemma4_31b::text>, g4::rank_counts<2, 4>>(path, {}, on);
///
/// Counts   numbers of stages, of which the most even pipelines are compiled; of those that a variant cannot be cut into, none
/// Listed   `pipelines<…>` that are compiled besides, where a variant can be cut like that
/// cuts     the layers that it is cut before; none: the most even pipeline of as many stages as ranks were started
template <class Variants, class Counts, class Listed = pipelines<>, Backend B>
[[nodiscard]] result<std::unique_ptr<any_model>> open_in_stages(const result<checkpoint>& from, std::span<const int> cuts, B& on,
                                                                const open_options& options = {}) {
  using opened = result<std::unique_ptr<any_model>>;
  using opener = opened (*)(const checkpoint&, B&, const open_options&);
  opener chosen = nullptr;
  // What opens the checkpoint as what was asked for, or why there is no such thing.
  const auto choose = [&]<class V>(std::type_identity<V>) -> result<void> {
    const std::string name(load::variant_name<V>());
    if (auto fine = check_cuts(V::spec, cuts); !fine) return fail_in(name, fine.error());
    const auto stages = static_cast<int>(cuts.size()) + 1;
    if (stages > 1 && stages != on.ranks())
      return fail(name, ": a pipeline of ", stages, " stages runs on as many ranks; ", on.ranks(), " were started");
    std::string built;
    bool counted = false;
    detail::each_pipeline_of<V>(Counts{}, Listed{}, [&]<class P>(P) {
      built += (built.empty() ? "" : " or ") + detail::cuts_text(P{});
      if (P::ranks != on.ranks()) return;
      counted = true;
      if (chosen == nullptr && (cuts.empty() || detail::is_cut_before(P{}, cuts))) chosen = &open_as<sharded<V, P>, B>;
    });
    if (chosen != nullptr) return {};
    if (built.empty()) return fail(name, ": this program was built for no pipeline of it");
    return fail(name, ": this program was built for pipelines cut before ", built,
                counted ? "" : "; " + std::to_string(on.ranks()) + " ranks were started");
  };
  return guarded([&]() -> opened {
    result<void> fine;
    if (!from) fine = unexpected(from.error());
    if (from) {
      [&]<class... V>(one_of<V...>) {
        (void)((load::differences(from->spec, V::spec, "", from->unsaid).empty() && (fine = choose(std::type_identity<V>{}), true)) || ...);
      }(Variants{});
    }
    if (auto all = agree(on, fine); !all) return unexpected(std::move(all.error()));
    return chosen != nullptr ? chosen(*from, on, options) : opened(detail::none_fits(*from, Variants{}));
  });
}

}  // namespace g4
