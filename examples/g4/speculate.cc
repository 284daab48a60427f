#include <chrono>
#include <utility>

#include "backends.h"
#include "engine.h"
#include "g4/generate/lookup.h"
#include "g4/generate/speculate.h"
#include "g4/open/any_drafter.h"
#include "ranks.h"

namespace program {

namespace {

template <class Guess>
g4::result<drafted> run(const settings& s, engine& e, g4::any_session& session, std::span<const g4::token_id> prompt,
                        const std::function<bool(std::string_view)>& on_text, Guess&& guess) {
  using clock = std::chrono::steady_clock;
  const g4::text::tokenizer& vocabulary = e.model->tokenizer();
  g4::text::utf8_stream stream(vocabulary, s.special);
  drafted done;
  done.answer.prompt_tokens = prompt.size();
  done.answer.stopped = g4::stop_reason::token_limit;
  const auto begun = clock::now();
  clock::time_point answering = begun;
  const auto ran = g4::speculate(session, prompt, s.max_tokens, s.guesses, guess, [&](g4::token_id id) {
    if (done.answer.tokens.empty()) answering = clock::now();
    done.answer.tokens.push_back(id);
    if (!s.raw && vocabulary.ends_answer(id)) {
      done.answer.stopped = g4::stop_reason::end_of_text;
      return false;
    }
    const std::string_view piece = stream.push(id);
    if (!piece.empty() && !on_text(piece)) {
      done.answer.stopped = g4::stop_reason::cancelled;
      return false;
    }
    return true;
  });
  if (!ran) return g4::unexpected(ran.error());
  if (const std::string_view rest = stream.finish(); !rest.empty()) on_text(rest);
  if (done.answer.stopped == g4::stop_reason::token_limit && done.answer.tokens.size() < s.max_tokens) {
    done.answer.stopped = g4::stop_reason::context_full;
  }
  done.answer.prompt_seconds = std::chrono::duration<double>(answering - begun).count();
  done.answer.answer_seconds = std::chrono::duration<double>(clock::now() - answering).count();
  done.rounds = ran->rounds;
  done.guessed = ran->guessed;
  done.accepted = ran->accepted;
  return done;
}

}  // namespace

g4::result<drafted> speculate(const settings& s, engine& e, g4::any_session& session,
                              std::span<const g4::token_id> prompt,
                              const std::function<bool(std::string_view)>& on_text) {
  if (s.draft == "lookup") {
    g4::prompt_lookup lookup;
    auto done = run(s, e, session, prompt, on_text, g4::guess_by(lookup));
    if (done) done->drafter = "lookup";
    return done;
  }
  if (on_ranks()) return g4::fail("--draft: on several ranks this program guesses from the text alone: --draft lookup");
  if (e.on->cpu == nullptr) return g4::fail("--draft: a drafter's file runs on the cpu backend only");
  const auto from = g4::open_checkpoint(s.draft);
  if (!from) return g4::unexpected(from.error());
  if (!from->spec.is_drafter())
    return g4::fail(s.draft, ": is no drafter; --draft takes lookup, or the file of a drafter");
  const auto drafter = open_compiled_drafter(*from, session, *e.on->cpu, {});
  if (!drafter) return g4::unexpected(drafter.error());
  auto done = run(s, e, session, prompt, on_text, g4::guess_with(**drafter));
  if (done) done->drafter = (*drafter)->variant();
  return done;
}

}  // namespace program
