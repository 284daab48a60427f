/// Many texts at once: what each costs to read, the weights, is read for all of them together.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/generate/generate.h"
#include "g4/generate/lookup.h"
#include "g4/model/sharded.h"
#include "g4/model/text/places.h"
#include "g4/model/text/plan.h"
#include "g4/model/text/runner.h"
#include "g4/model/text/session.h"
#include "g4/model/weights.h"
#include "g4/open/agree.h"
#include "g4/open/leading.h"
#include "g4/text/tokenizer.h"

namespace g4 {

/// What a batch is made for.
struct batch_options {
  std::size_t texts = 8;            ///< most texts at once
  std::size_t context = 4096;       ///< most tokens of each, prompt and answer together
  std::size_t rows = 64;            ///< most rows of a step; fewer where the backend can compute no more of them alike
  std::int64_t first_position = 0;  ///< as for a session
  cache_choice cache{};             ///< as for a session
};

template <Shared V, Backend B>
class led_session;  // open/ranks.h

/// One text of a batch; never used again for another.
enum class text_id : std::uint64_t {};

/// Guesses at the next tokens of a text, from the text itself (`prompt_lookup`). A step runs them behind the token that it
/// would have run alone, and keeps those that the text's sampler chooses.
struct guessing {
  std::size_t most = 0;     ///< guesses of a step; fewer where its rows are wanted by others. 0: none
  std::size_t longest = 3;  ///< tokens that are looked up
};

namespace detail {

/// A callback of any type.
class listener {
 public:
  virtual ~listener() = default;
  virtual bool operator()(std::string_view piece) = 0;
};
template <class OnText>
class listener_of final : public listener {
 public:
  explicit listener_of(OnText on_text) : on_text_(std::move(on_text)) {}
  bool operator()(std::string_view piece) override { return pass_on(on_text_, piece); }

 private:
  OnText on_text_;
};

/// What a batch has for the other ranks: nothing where there are none.
struct no_ranks {};
template <class V, class B>
struct batch_parts {
  using session = g4::session<V, B>;
  using ranks = no_ranks;
  using led = no_ranks;
};
template <Shared V, class B>
struct batch_parts<V, B> {
  using session = led_session<V, B>;
  using ranks = std::shared_ptr<leading<B>>;
  using led = std::optional<detail::led<B>>;
};

}  // namespace detail

/// Up to `texts` texts over shared weights, each with its own cache, sampler, stop rules and callback, advanced together:
///
///     auto texts = g4::make_batch(*model, {.texts = 8});
///     for (const auto& prompt : prompts) texts->join(prompt, {.max_tokens = 128}, show);
///     while (texts->running() > 0) texts->step();
///
/// A step is one pass over the weights. Every answer that is running advances by a token in it, and the rows left over are
/// divided evenly among the prompts that are being read, so that no text waits for another's; what those leave is for guesses.
/// Texts join and leave between steps.
///
/// A text's tokens are the same, to the bit of its logits, whatever shares its passes: each row is computed from its own
/// text alone, and the backend is told to compute all rows of a pass as it would compute one (`rows_kept_alike`; in `fast`
/// mode 16 rows and more of plain floats, and with `fast8` of all weights, would else meet activations rounded otherwise). They
/// are those that `generate` gives in a session whose `batch` is at most `rows_alike`. Guesses change none, sampled or not: a
/// sampler meets the same logits in the same order, and a guess that it did not choose is written over.
///
/// Made with all the memory it will compute in (`plan`); what joins brings its ids and its sampler's tables. One thread at
/// a time.
///
/// Of a model that is shared out among ranks the leader makes it, and every step is made by all of them: `open/ranks.h`.
template <Variant V, Backend B>
class batch {
 public:
  static constexpr text_spec spec = V::spec;
  static_assert(std::is_same_v<typename B::scalar, float>, "g4: a batch samples from logits in float.");
  static_assert(spec.sees != visibility::everything,
                "g4: an encoder reads a text at once and answers nothing. See model/text/encoder.h.");

  /// A session of the same model: `session<V, B>`, or the leader's where the model is shared out.
  using session_type = typename detail::batch_parts<V, B>::session;

  /// `w`, `vocabulary` and `on` must outlive it. Fails when there are more texts than rows, the cache cannot be kept as the
  /// options say, or the memory cannot be had.
  ///
  /// ranks   of a model that is shared out: `model::ranks`
  [[nodiscard]] static result<batch> make(const weights<V>& w, const text::tokenizer& vocabulary, B& on,
                                          const batch_options& options = {},
                                          typename detail::batch_parts<V, B>::ranks ranks = {}) {
    return guarded([&] { return make_of(w, vocabulary, on, options, std::move(ranks)); });
  }

  /// What a batch with such options takes, all of it when it is made: a cache for each text, working memory for all.
  [[nodiscard]] static memory_plan plan(const B& on, const batch_options& options) {
    return text_places<V, B>::plan(on, options.texts, of_each(on, options));
  }
  [[nodiscard]] memory_plan plan() const { return plan(runner().backend(), options_); }
  /// As asked for, but `rows` as many as a step has.
  [[nodiscard]] const batch_options& options() const { return options_; }

  /// Takes in a text that begins with `prompt`. Nothing of it is run before the next step.
  ///
  /// on_text   as for `generate`; called by `step`, and not to call this batch back
  /// Fails when all places are taken, the sampling options make no sense, or the prompt is empty, too long, or holds ids that
  /// the model does not know.
  template <class OnText>
  result<text_id> join(std::span<const token_id> prompt, const generate_options& options, OnText&& on_text,
                       const guessing& guesses = {}) {
    return guarded([&]() -> result<text_id> {
      const auto free = place_for(prompt, 0);
      if (!free) return unexpected(free.error());
      return take_in(**free, 0, prompt, options, std::forward<OnText>(on_text), guesses);
    });
  }
  /// The same after what a session has run, which is copied: a system prompt that is read once serves many texts, and a prompt
  /// with pictures is read in a session. That has a `context` and `batch` of its own, and keeps keys and values alike.
  template <class OnText>
  result<text_id> join(const session_type& after, std::span<const token_id> prompt, const generate_options& options,
                       OnText&& on_text, const guessing& guesses = {}) {
    return guarded([&]() -> result<text_id> {
      if (auto fits = check(own(after)); !fits) return unexpected(std::move(fits.error()));
      const auto free = place_for(prompt, after.size());
      if (!free) return unexpected(free.error());
      const auto at = static_cast<std::size_t>(*free - places_.data());
      if constexpr (shared_out) {
        detail::command said = led_->to(detail::command::to::join);
        said.count = at;
        said.inlays = after.by_number().number();
        if (auto told = led_->ranks().tell(said); !told) return unexpected(std::move(told.error()));
      }
      texts_.copy(own(after), at);
      return take_in(**free, after.size(), prompt, options, std::forward<OnText>(on_text), guesses);
    });
  }
  /// The same for a prompt that is plain text: markers written in it stay text.
  template <class OnText>
  result<text_id> join(std::string_view prompt, const generate_options& options, OnText&& on_text,
                       const guessing& guesses = {}) {
    const text::text_range said{0, prompt.size()};
    auto ids = vocabulary_->encode(prompt, {.add_bos = vocabulary_->special().add_bos, .plain = std::span(&said, 1)});
    if (!ids) return unexpected(std::move(ids.error()));
    return join(std::span<const token_id>(*ids), options, std::forward<OnText>(on_text), guesses);
  }

  /// Advances every text. Returns how many are still running.
  /// Fails where memory that the backend needs cannot be had: then nothing has happened. Fails also where something went
  /// wrong on the backend, as on a GPU it may: the batch is not worth keeping then. What goes wrong with one text alone (logits
  /// that are no numbers) stops that one, and `leave` says so.
  result<std::size_t> step() {
    return guarded([&]() -> result<std::size_t> {
      const std::size_t rows = stage();
      if (rows == 0) return std::size_t{0};
      if constexpr (shared_out) {
        const auto told = led_->ranks().tell(led_->to(detail::command::to::step), runner().staged(rows), wanted_);
        if (!told) return unexpected(told.error());
      }
      const rows_kept_alike<B> alike(runner().backend());
      texts_.run(rows, wanted_);
      for (place& p : places_) {
        if (p.reads()) p.pass_prompt();
      }
      each_logits(runner(), answering_.size(), [&](std::size_t i, std::span<const float> logits) {
        if (shared_out && lost()) return;  // nobody is told tokens that mean nothing
        if (answering_[i]->pass_row()) answer(*answering_[i], logits);
      });
      if (auto sound = failure_of(runner().backend()); !sound) return unexpected(std::move(sound.error()));
      return running();
    });
  }

  /// Texts whose answer is not whole yet.
  [[nodiscard]] std::size_t running() const {
    return static_cast<std::size_t>(
        std::count_if(places_.begin(), places_.end(), [](const place& p) { return p.runs; }));
  }
  [[nodiscard]] bool running(text_id id) const {
    const place* const p = find(id);
    return p != nullptr && p->runs;
  }

  /// Takes a text out, whole or not, and makes room for another.
  /// Fails when there is no such text, or with what stopped it.
  result<generated> leave(text_id id) {
    return guarded([&]() -> result<generated> {
      place* const p = find(id);
      if (p == nullptr) return fail("batch: there is no such text; it never joined, or has left");
      std::optional<detail::answer> last = std::exchange(p->answers, std::nullopt);
      p->runs = false;
      p->on_text.reset();
      if (!p->wrong.message.empty()) return unexpected(std::exchange(p->wrong, {}));
      return std::move(last->done);
    });
  }

  /// Shows every inner tensor to `see` from now on.
  void watch(tap<float> see) { runner().watch(see); }

 private:
  static constexpr bool shared_out = Shared<V>;
  using clock = std::chrono::steady_clock;

  /// Where a text is, or was, or can be.
  struct place {
    [[nodiscard]] bool taken() const { return answers.has_value(); }
    [[nodiscard]] bool reads() const { return runs && read < prompt.size(); }
    /// Rows that it could do with in a step.
    [[nodiscard]] std::size_t rows_wanted() const { return !runs ? 0 : reads() ? prompt.size() - read : next.size(); }

    /// The rows of the prompt that were staged have been run.
    void pass_prompt() {
      size += staged;
      read += staged;
      if (reads()) return;
      --size;  // its last row is counted by the logits that begin the answer
      passed = 0;
    }
    /// Whether the logits of the next row of this step follow the text: of its first row they do, of a guess where it was what
    /// has been chosen. Then the row is part of the text.
    [[nodiscard]] bool pass_row() {
      if (passed > 0) {
        if (!runs || next[passed] != answers->done.tokens.back()) return false;
        ++answers->done.accepted;
      }
      ++passed;
      ++size;
      return true;
    }

    text_id id{};
    std::size_t size = 0;    ///< tokens in the cache
    std::size_t read = 0;    ///< tokens of the prompt among them
    std::size_t staged = 0;  ///< rows in the step that is being made
    bool runs = false;
    std::vector<token_id> prompt;
    std::vector<token_id> next;  ///< behind the prompt: the token to be run and the guesses behind it,
    std::size_t passed = 0;      ///< and how many of them turned out to be the text's
    std::size_t most_guesses = 0;
    prompt_lookup guesses;
    std::vector<token_id> text;  ///< that guesses are looked up in, where they are wanted
    std::optional<detail::answer> answers;
    std::unique_ptr<detail::listener> on_text;
    error wrong;
    clock::time_point joined, answering;
  };

  [[nodiscard]] static std::size_t rows_of(const B& on, const batch_options& options) {
    if constexpr (KeepsRowsAlike<B>) return options.rows;
    return std::min(options.rows, rows_alike(on));
  }
  [[nodiscard]] static session_options of_each(const B& on, const batch_options& options) {
    return {.context = options.context,
            .batch = rows_of(on, options),
            .first_position = options.first_position,
            .cache = options.cache};
  }

  [[nodiscard]] static result<batch> make_of(const weights<V>& w, const text::tokenizer& vocabulary, B& on,
                                             batch_options options, typename detail::batch_parts<V, B>::ranks ranks) {
    if (options.texts == 0 || options.context == 0 || options.rows == 0)
      return fail("batch: texts, context and rows must be at least 1");
    options.rows = rows_of(on, options);
    if (options.texts > options.rows) {
      return fail(
          "batch: ", options.texts, " texts need as many rows of a step; there are ", options.rows,
          !KeepsRowsAlike<B> && options.rows == rows_alike(on) ? ", the most that this backend computes alike" : "");
    }
    const memory_plan needed = plan(on, options);
    const auto too_large = [&] {
      return fail("batch: ", needed.counted() ? "" : "more than ", needed.total(),
                  " bytes of caches and working memory could not be had; ask for fewer texts than ", options.texts,
                  " or a smaller context than ", options.context);
    };
    if (!needed.counted()) return too_large();
    const session_options each = of_each(on, options);
    typename detail::batch_parts<V, B>::led led{};
    [[maybe_unused]] std::uint32_t number = 0;
    if constexpr (shared_out) {
      if (ranks == nullptr) return fail("batch: rank ", on.rank(), ": texts are rank 0's; the others follow");
      number = ranks->next_number();
      const auto told = ranks->tell({detail::command::to::make_batch, number, options.texts, 0, each, {}});
      if (!told) return unexpected(told.error());
    }
    auto texts = text_places<V, B>::make(w, on, options.texts, each);
    result<void> fine;
    if (!texts) fine = texts.error().message.starts_with("session") ? unexpected(texts.error()) : too_large();
    if constexpr (shared_out) {
      if (auto all = agree(on, fine); !all) return unexpected(std::move(all.error()));
      led.emplace(std::move(ranks), number);
    }
    if (!fine) return unexpected(std::move(fine.error()));
    batch made(std::move(*texts), vocabulary, options, std::move(led));
    made.places_.resize(options.texts);
    made.wanted_.reserve(options.rows);
    made.answering_.reserve(options.rows);
    return made;
  }

  batch(text_places<V, B> texts, const text::tokenizer& vocabulary, const batch_options& options,
        typename detail::batch_parts<V, B>::led led)
      : led_(std::move(led)), texts_(std::move(texts)), vocabulary_(&vocabulary), options_(options) {}

  [[nodiscard]] text_runner<V, B>& runner() { return texts_.runner(); }
  [[nodiscard]] const text_runner<V, B>& runner() const { return texts_.runner(); }
  /// This rank's part of a session.
  [[nodiscard]] static const session<V, B>& own(const session_type& text) {
    if constexpr (shared_out) {
      return text.own();
    } else {
      return text;
    }
  }
  [[nodiscard]] bool lost() const {
    if constexpr (shared_out) return runner().backend().lost();
    return false;
  }

  [[nodiscard]] const place* find(text_id id) const {
    const auto found =
        std::find_if(places_.begin(), places_.end(), [&](const place& p) { return p.taken() && p.id == id; });
    return found == places_.end() ? nullptr : &*found;
  }
  [[nodiscard]] place* find(text_id id) { return const_cast<place*>(std::as_const(*this).find(id)); }

  /// A free place for a prompt that follows `size` tokens, or why there is none.
  [[nodiscard]] result<place*> place_for(std::span<const token_id> prompt, std::size_t size) {
    const auto free = std::find_if(places_.begin(), places_.end(), [](const place& p) { return !p.taken(); });
    if (free == places_.end()) return fail("batch: all ", options_.texts, " places are taken");
    if (prompt.empty()) return fail("batch: there is nothing to run");
    if (size > options_.context || prompt.size() > options_.context - size) {
      return fail("batch: a text may have ", options_.context, " tokens; ", size,
                  " were run before and the prompt has ", prompt.size());
    }
    if (auto known = check_ids(prompt_view<float>{prompt}, runner().model_weights().embed.rows); !known) {
      return unexpected(std::move(known.error()));
    }
    return &*free;
  }

  /// Whether what a session has run can be copied into a place.
  [[nodiscard]] result<void> check(const session<V, B>& after) const {
    if (&after.model_weights() != &runner().model_weights() || &after.backend() != &runner().backend()) {
      return fail("batch: a session to go on from must be of the same weights and backend");
    }
    if (after.options().first_position != options_.first_position) {
      return fail("batch: a session to go on from must have a first position of ", options_.first_position, "; it has ",
                  after.options().first_position);
    }
    for (int l = 0; l < spec.layers; ++l) {  // of all ranks, whichever has the layer
      const auto kept_as = [&](const cache_choice& choice) {
        return cache_type(spec.layer[l], choice, runner().backend().cache_storage());
      };
      const storage ours = kept_as(options_.cache), theirs = kept_as(after.options().cache);
      if (theirs != ours) {
        return fail("batch: a session to go on from must keep keys and values in ", facts_of(ours).name,
                    "; it keeps them in ", facts_of(theirs).name);
      }
    }
    return {};
  }

  template <class OnText>
  [[nodiscard]] result<text_id> take_in(place& p, std::size_t size, std::span<const token_id> prompt,
                                        const generate_options& options, OnText&& on_text, const guessing& guesses) {
    auto begun = detail::answer::begin(*vocabulary_, prompt, options, spec.vocab, options_.context - size);
    if (!begun) return unexpected(std::move(begun.error()));
    p.prompt.assign(prompt.begin(), prompt.end());
    p.most_guesses = std::min(guesses.most, options_.rows - 1);
    p.guesses = prompt_lookup(guesses.longest);
    p.next.reserve(1 + p.most_guesses);
    p.text.clear();
    if (p.most_guesses > 0) {
      p.text.reserve(options.before.size() + prompt.size() + begun->done.tokens.capacity());
      p.text.assign(options.before.begin(), options.before.end());
      p.text.insert(p.text.end(), prompt.begin(), prompt.end());
    }
    p.on_text = std::make_unique<detail::listener_of<std::decay_t<OnText>>>(std::forward<OnText>(on_text));
    p.answers.emplace(std::move(*begun));
    p.wrong.message.clear();
    p.size = size;
    p.read = p.staged = 0;
    p.joined = clock::now();
    p.runs = true;
    return p.id = text_id{++joined_};
  }

  /// Gives places more of the `left` rows of a step, one each in turn, until they have what they want.
  void share(std::size_t& left) {
    for (bool more = true; more && left > 0;) {
      more = false;
      for (place& p : places_) {
        if (left == 0 || p.staged >= p.rows_wanted()) continue;
        ++p.staged;
        --left;
        more = true;
      }
    }
  }

  /// Stages the rows of the next step and says how many they are.
  [[nodiscard]] std::size_t stage() {
    std::size_t left = options_.rows;
    for (place& p : places_) {
      p.staged = 0;
      if (!p.runs || p.reads()) continue;
      p.next.assign(1, p.answers->done.tokens.back());
      p.passed = 0;
      p.staged = 1;
      --left;
    }
    share(left);
    for (place& p : places_) {
      if (left > 0 && p.most_guesses > 0 && p.runs && !p.reads()) guess(p, left);
    }
    share(left);
    wanted_.clear();
    answering_.clear();
    std::size_t staged = 0;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      place& p = places_[i];
      if (p.staged == 0) continue;
      const std::span<const token_id> next = p.reads() ? std::span<const token_id>(p.prompt).subspan(p.read, p.staged)
                                                       : std::span<const token_id>(p.next).first(p.staged);
      stage_rows<V>(prompt_view<float>{next}, 0, p.size, runner().staged(options_.rows).subspan(staged, p.staged),
                    static_cast<std::int32_t>(i));
      // Of a prompt the last row's logits are wanted, of an answer all.
      const std::size_t first = !p.reads() ? 0 : p.read + p.staged == p.prompt.size() ? p.staged - 1 : p.staged;
      for (std::size_t row = first; row < p.staged; ++row) {
        wanted_.push_back(static_cast<std::int32_t>(staged + row));
        answering_.push_back(&p);
      }
      if (!p.reads()) p.answers->done.guessed += p.staged - 1;
      staged += p.staged;
    }
    return staged;
  }

  /// Puts guesses behind the token of an answer that is to be run: as many as there are rows, and as could be kept.
  void guess(place& p, std::size_t rows) {
    const std::size_t most = std::min({p.most_guesses, rows, options_.context - p.size - 1, p.answers->left() - 1});
    const auto guesses = p.guesses.draft(p.text, most);
    p.next.insert(p.next.end(), guesses.begin(), guesses.end());
  }

  /// A text takes the logits that follow what of it has been run.
  void answer(place& p, std::span<const float> logits) {
    const auto seconds = [](clock::time_point from, clock::time_point to) {
      return std::chrono::duration<double>(to - from).count();
    };
    generated& done = p.answers->done;
    if (done.tokens.empty()) {
      p.answering = clock::now();
      done.prompt_seconds = seconds(p.joined, p.answering);
    }
    p.runs = false;
    if (p.answers->wants_more()) {
      const auto more = p.answers->take(logits, p.size == options_.context, *p.on_text);
      if (more) {
        p.runs = *more;
        if (p.most_guesses > 0) p.text.push_back(done.tokens.back());
      } else {
        p.wrong = more.error();
      }
    }
    done.answer_seconds = seconds(p.answering, clock::now());
  }

  [[no_unique_address]] typename detail::batch_parts<V, B>::led led_;
  text_places<V, B> texts_;
  const text::tokenizer* vocabulary_;
  batch_options options_;
  std::vector<place> places_;              ///< by the place in `texts_`
  std::vector<std::int32_t> wanted_;       ///< rows of a step whose logits are wanted,
  std::vector<place*> answering_;          ///< and whose they are
  std::uint64_t joined_ = 0;               ///< texts so far
};

/// A batch of an opened model's texts; model and backend must outlive it.
template <class Model>
[[nodiscard]] auto make_batch(const Model& of, const batch_options& options = {}) {
  using made = batch<typename Model::variant, typename Model::backend>;
  if constexpr (requires { of.ranks(); }) {
    return made::make(of.weights(), of.tokenizer(), of.on(), options, of.ranks());
  } else {
    return made::make(of.weights(), of.tokenizer(), of.on(), options);
  }
}

}  // namespace g4
