/// Speculative decoding: several guesses are checked in one run, and the answer is the same as without them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/text/draft.h"
#include "g4/model/text/session.h"
#include "g4/text/piece_table.h"

namespace g4 {

/// How the guesses fared.
struct speculation {
  std::vector<token_id> tokens;
  std::size_t rounds = 0;    ///< runs of the target
  std::size_t guessed = 0;   ///< tokens that were proposed
  std::size_t accepted = 0;  ///< of those, the ones the target would have chosen itself
  [[nodiscard]] double acceptance() const {
    return guessed == 0 ? 0 : static_cast<double>(accepted) / static_cast<double>(guessed);
  }
};

namespace detail {

template <class Session, class Guess, class OnToken>
[[nodiscard]] result<speculation> run_and_speculate(Session& session, std::span<const token_id> prompt,
                                                    std::size_t count, std::size_t guesses_per_round, Guess&& guess,
                                                    OnToken&& on_token) {
  using scalar = typename Session::scalar;
  bool finite = true;  // a NaN is nobody's choice
  const auto best = [&finite](std::span<const scalar> logits) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      finite = finite && logits[i] < std::numeric_limits<scalar>::infinity();
      if (logits[i] > logits[found]) found = i;
    }
    return static_cast<token_id>(found);
  };
  const auto not_finite = [] {
    return fail("speculate: the logits hold a NaN or an infinity; the weights are damaged, or the model overflowed");
  };
  if (guesses_per_round >= session.options().batch) {
    return fail("speculate: a round of ", guesses_per_round, " guesses and the token before them needs a larger batch than ",
                session.options().batch);
  }
  // A round stays where a row's bits do not depend on how many rows share the pass: there it is greedy to the bit.
  guesses_per_round = std::min(guesses_per_round, session.rows_alike() - 1);
  speculation done;
  // All room is taken before anything is run, so that no round ends for want of it with guesses still in the session.
  const std::size_t most_tokens = std::min(count, session.options().context - session.size() + 1);
  done.tokens.reserve(most_tokens);
  std::vector<token_id> text;
  text.reserve(prompt.size() + most_tokens);
  text.assign(prompt.begin(), prompt.end());
  auto logits = session.run(prompt);
  if (!logits) return unexpected(std::move(logits.error()));
  std::vector<token_id> run(guesses_per_round + 1);
  std::vector<scalar> hidden(session.hidden().begin(), session.hidden().end());
  token_id chosen = best(*logits);
  if (!finite) return not_finite();

  bool wanted = true;
  const auto keep = [&](token_id id) {
    done.tokens.push_back(id);
    text.push_back(id);
    wanted = static_cast<bool>(on_token(id)) && done.tokens.size() < count;
  };
  if (count > 0) keep(chosen);
  while (wanted && count > 0) {
    const std::size_t room = session.options().context - session.size();
    if (room == 0) break;
    const std::size_t most = std::min({guesses_per_round, room - 1, count - done.tokens.size()});
    const auto guesses = guess(std::span<const token_id>(text), chosen, std::span<const scalar>(hidden), most);
    run[0] = chosen;
    std::copy(guesses.begin(), guesses.end(), run.begin() + 1);
    const std::size_t before = session.size();
    const std::size_t length = guesses.size() + 1;
    std::vector<token_id> choices;
    choices.reserve(length);
    const auto ran = session.run_all({std::span<const token_id>(run).first(length)},
                                     [&](std::size_t, std::span<const scalar> row) { choices.push_back(best(row)); });
    if (!ran) return unexpected(ran.error());
    if (!finite) return not_finite();
    ++done.rounds;
    done.guessed += guesses.size();

    std::size_t agreed = 0;
    while (agreed < guesses.size() && guesses[agreed] == choices[agreed]) ++agreed;
    done.accepted += agreed;
    // The session is left with what was handed out, but for the last token, as after any step: also when a callback
    // stops inside a round.
    std::size_t kept = 0;
    while (kept <= agreed && wanted) keep(chosen = choices[kept++]);
    const auto row = session.hidden_row(kept - 1);
    std::copy(row.begin(), row.end(), hidden.begin());
    if (auto back = session.rewind(before + kept); !back) return unexpected(back.error());
  }
  return done;
}

}  // namespace detail

/// Greedy decoding of `count` tokens after `prompt`, checking guesses as it goes. Token for token what greedy decoding
/// gives: a guess is kept only where it is the target's own choice.
///
///     round: guesses g1 … gk for what follows c (chosen, not yet run)
///            run c, g1 … gk in one pass; keep the longest prefix that the logits agree with; rewind the rest
///
/// guess    guess(text so far, id chosen, last hidden row, k) → at most k tokens; see `guess_with`
/// on_token on_token(id) for each token; returning false stops
template <class Session, class Guess, class OnToken>
[[nodiscard]] result<speculation> speculate(Session& session, std::span<const token_id> prompt, std::size_t count,
                                            std::size_t guesses_per_round, Guess&& guess, OnToken&& on_token) {
  return guarded(
      [&] { return detail::run_and_speculate(session, prompt, count, guesses_per_round, guess, on_token); });
}

/// Guesses of a drafter, in the form `speculate` asks for.
template <class D, Backend B>
[[nodiscard]] auto guess_with(draft_session<D, B>& drafter) {
  return [&drafter](std::span<const token_id>, token_id chosen, std::span<const typename B::scalar> hidden,
                    std::size_t count) { return drafter.draft(chosen, count, hidden.data()); };
}

/// Guesses from the text itself, in the form `speculate` asks for.
template <class Lookup>
[[nodiscard]] auto guess_by(Lookup& lookup) {
  return [&lookup](std::span<const token_id> text, token_id, const auto&, std::size_t count) {
    return lookup.draft(text, count);
  };
}

}  // namespace g4
