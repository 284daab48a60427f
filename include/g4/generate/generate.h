/// The whole path: text in, text out.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/sample/sampler.h"
#include "g4/text/tokenizer.h"
#include "g4/text/utf8_stream.h"

namespace g4 {

enum class stop_reason : std::uint8_t {
  end_of_text,  ///< the model chose a token that ends an answer
  token_limit,  ///< `max_tokens` were made
  context_full,
  cancelled,  ///< the callback said so
};

[[nodiscard]] constexpr std::string_view name_of(stop_reason why) {
  switch (why) {
    case stop_reason::end_of_text: return "end of text";
    case stop_reason::token_limit: return "token limit";
    case stop_reason::context_full: return "context full";
    case stop_reason::cancelled: return "cancelled";
  }
  return "";
}

struct generate_options {
  std::size_t max_tokens = 256;
  sample::sampler_options sampling = {};  ///< greedy unless a temperature is set
  bool stop_at_end = true;                ///< stop at a token that ends an answer
  bool show_control = false;              ///< pass the names of control tokens on
  std::span<const token_id> before = {};  ///< what the session holds, where the repetition penalty is to count it
};

struct generated {
  stop_reason stopped = stop_reason::token_limit;
  std::size_t prompt_tokens = 0;
  std::vector<token_id> tokens;  ///< chosen, a final end token included
  std::size_t guessed = 0;       ///< tokens that were guessed: in a `batch`, where it was asked for
  std::size_t accepted = 0;      ///< of those, the ones that were chosen
  double prompt_seconds = 0;     ///< running the prompt
  double answer_seconds = 0;     ///< making the tokens

  [[nodiscard]] double tokens_per_second() const {
    // The first token comes out of the prompt's run: only the others cost a step.
    return tokens.size() > 1 && answer_seconds > 0 ? static_cast<double>(tokens.size() - 1) / answer_seconds : 0;
  }
};

namespace detail {

/// Calls `on_text` with a piece that is not empty. Says whether more is wanted.
template <class OnText>
[[nodiscard]] bool pass_on(OnText& on_text, std::string_view piece) {
  if (piece.empty()) return true;
  if constexpr (std::is_void_v<decltype(on_text(piece))>) {
    on_text(piece);
    return true;
  } else {
    return static_cast<bool>(on_text(piece));
  }
}

/// An answer in the making: it chooses tokens, passes their text on and knows when to stop.
class answer {
 public:
  /// logits   how many the text's model gives
  /// room     tokens that may be run after the prompt
  [[nodiscard]] static result<answer> begin(const text::tokenizer& vocabulary, std::span<const token_id> prompt,
                                            const generate_options& options, std::size_t logits, std::size_t room) {
    auto sampler = sample::make_sampler(options.sampling, logits);
    if (!sampler) return unexpected(std::move(sampler.error()));
    sampler->accept(options.before);
    sampler->accept(prompt);
    answer begun(vocabulary, std::move(*sampler), options);
    begun.done.prompt_tokens = prompt.size();
    begun.done.tokens.reserve(std::min(options.max_tokens, room + 1));
    return begun;
  }

  [[nodiscard]] bool wants_more() const { return left() > 0; }
  /// How many tokens may follow.
  [[nodiscard]] std::size_t left() const { return most_ - done.tokens.size(); }
  /// Takes the logits that follow the text so far. Says whether it goes on: the last of `done.tokens` is to be run then.
  ///
  /// full   no more tokens can be run
  template <class OnText>
  [[nodiscard]] result<bool> take(std::span<const float> logits, bool full, OnText& on_text) {
    const auto chosen = sampler_.choose(logits);
    if (!chosen) return unexpected(chosen.error());
    return take_chosen(*chosen, full, on_text);
  }
  /// Whether the likeliest token is always the next, whatever came before.
  [[nodiscard]] bool is_greedy() const {
    return sampler_.options().temperature == 0 && sampler_.options().repetition_penalty == 1;
  }
  /// The same of a token that was chosen elsewhere, as this would have been.
  template <class OnText>
  [[nodiscard]] bool take_chosen(token_id chosen, bool full, OnText& on_text) {
    done.tokens.push_back(chosen);
    if (stop_at_end_ && vocabulary_->ends_answer(chosen)) {
      done.stopped = stop_reason::end_of_text;
    } else if (!pass_on(on_text, stream_.push(chosen))) {
      done.stopped = stop_reason::cancelled;
      return false;  // half a character is shown as such, but not to a callback that wants no more
    } else if (done.tokens.size() == most_) {
      done.stopped = stop_reason::token_limit;
    } else if (full) {
      done.stopped = stop_reason::context_full;
    } else {
      return true;
    }
    static_cast<void>(pass_on(on_text, stream_.finish()));
    return false;
  }

  generated done;

 private:
  answer(const text::tokenizer& vocabulary, sample::sampler chooses, const generate_options& options)
      : vocabulary_(&vocabulary),
        sampler_(std::move(chooses)),
        stream_(vocabulary, options.show_control),
        most_(options.max_tokens),
        stop_at_end_(options.stop_at_end) {}

  const text::tokenizer* vocabulary_;
  sample::sampler sampler_;
  text::utf8_stream stream_;
  std::size_t most_;
  bool stop_at_end_;
};

/// Runs the token that was chosen last, and what the session then makes of greedy choice by itself.
template <class Session, class OnText>
[[nodiscard]] auto run_chosen(Session& session, answer& made, OnText& on_text) {
  const token_id id = made.done.tokens.back();
  auto see = [&](token_id chosen) {
    return made.take_chosen(chosen, session.size() == session.options().context, on_text);
  };
  if constexpr (requires { session.run_ahead(id, made.left(), see); }) {
    if (made.is_greedy()) return session.run_ahead(id, made.left(), see);
  }
  return session.run(id);
}

template <class Session, class OnText>
[[nodiscard]] result<generated> run_and_continue(Session& session, const text::tokenizer& vocabulary,
                                                 std::span<const token_id> prompt, const generate_options& options,
                                                 OnText&& on_text) {
  using clock = std::chrono::steady_clock;
  const auto seconds = [](clock::time_point from, clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  };
  const std::size_t context = session.options().context;
  auto made = answer::begin(vocabulary, prompt, options, session.vocabulary(), context - session.size());
  if (!made) return unexpected(std::move(made.error()));
  const auto begun = clock::now();
  auto logits = session.run(prompt);
  if (!logits) return unexpected(std::move(logits.error()));
  const auto answering = clock::now();
  while (made->wants_more()) {
    const auto more = made->take(*logits, session.size() == context, on_text);
    if (!more) return unexpected(more.error());
    if (!*more) break;
    logits = run_chosen(session, *made, on_text);
    if (!logits) return unexpected(std::move(logits.error()));
    if (logits->empty()) break;  // the session went on by itself, to the end
  }
  made->done.prompt_seconds = seconds(begun, answering);
  made->done.answer_seconds = seconds(answering, clock::now());
  return std::move(made->done);
}

}  // namespace detail

/// Runs `prompt` in `session` and continues it, calling `on_text(piece)` with every piece of text as soon as it is whole
/// characters; returning false from it cancels. A callback that returns nothing never cancels.
///
/// session   a `session<V, B>` in float, or an `any_session`; what it held before is the text's beginning
/// Fails when the sampling options make no sense, the prompt does not fit into the context, or memory runs out.
template <class Session, class OnText>
[[nodiscard]] result<generated> generate(Session& session, const text::tokenizer& vocabulary,
                                         std::span<const token_id> prompt, const generate_options& options,
                                         OnText&& on_text) {
  return guarded([&] { return detail::run_and_continue(session, vocabulary, prompt, options, on_text); });
}

/// The same for a prompt that is plain text: markers written in it stay text.
template <class Session, class OnText>
[[nodiscard]] result<generated> generate(Session& session, const text::tokenizer& vocabulary, std::string_view prompt,
                                         const generate_options& options, OnText&& on_text) {
  const text::text_range said{0, prompt.size()};
  auto ids = vocabulary.encode(
      prompt, {.add_bos = session.size() == 0 && vocabulary.special().add_bos, .plain = std::span(&said, 1)});
  if (!ids) return unexpected(std::move(ids.error()));
  return generate(session, vocabulary, std::span<const token_id>(*ids), options, on_text);
}

}  // namespace g4
