#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "engine.h"
#include "g4/load/matcher.h"
#include "g4/text/chat_gemma3.h"
#include "g4/text/chat_gemma4.h"
#include "json_text.h"
#include "media.h"

namespace program {

namespace {

/// As much as the prompt and the answer need, at least 4096 unless something else was asked for.
g4::session_options session_for(const settings& s, std::size_t prompt) {
  const std::size_t context = s.context != 0 ? s.context : std::max<std::size_t>(4096, prompt + s.max_tokens);
  return options_of(s, context, deciding_logits(s));
}

/// What is run: the text with what is shown in it, as it stands, or as a question in a conversation (--turn).
g4::result<shown_text> prompt_of(const settings& s, const engine& e, const std::string& text,
                                 const std::vector<g4::any_shown>& media) {
  const g4::text::tokenizer& vocabulary = e.model->tokenizer();
  shown_text out;
  auto parts = parts_of(text, media, out.kept);
  if (!parts) return g4::unexpected(std::move(parts.error()));
  g4::text::prompt written;
  const std::string picture = e.senses == nullptr ? std::string() : e.senses->picture_mark();
  const std::string sound = e.senses == nullptr ? std::string() : e.senses->sound_mark();
  if (s.turn) {
    if (vocabulary.find(turn_mark(e)) == g4::no_token)
      return g4::fail(s.model, ": the vocabulary has no ", turn_mark(e), ", which opens a turn of a conversation");
    g4::text::message said;
    said.said = std::move(*parts);
    // The large models of Gemma 4 want an empty thought where they are not to think; the small ones do not.
    auto turn = g4::generation_of(e.spec) == g4::generation::gemma4
                    ? g4::text::gemma4_prompt({&said, 1}, {.empty_thought = !e.spec.per_layer})
                    : g4::text::gemma3_prompt({&said, 1}, {.image_mark = picture, .audio_mark = sound});
    if (!turn) return g4::unexpected(std::move(turn.error()));
    written = std::move(*turn);
  } else {
    const g4::token_id bos = vocabulary.special().bos;
    if (!s.raw && vocabulary.special().add_bos && bos != g4::no_token) written.markup(vocabulary.piece(bos));
    for (const g4::text::content_part& part : *parts) {
      using kind = g4::text::content_part::kind;
      if (part.is != kind::text) {
        written.markup(part.is == kind::image ? picture : sound);
      } else if (s.special) {
        written.markup(part.text);
      } else {
        written.say(part.text);
      }
    }
  }
  if (auto laid = out.lay_out(written, vocabulary, e.senses.get()); !laid) return g4::unexpected(std::move(laid.error()));
  return out;
}

json json_of(const settings& s, const engine& e, const g4::sample::sampler_options& sampling, const std::string& prompt,
             const std::string& text, const drafted& how, const std::vector<looked_at>& seen) {
  const g4::generated& done = how.answer;
  json j;
  j["model"] = e.path;
  j["variant"] = e.model->variant();
  j["backend"] = s.backend;
  j["mode"] = s.backend == "reference" ? "exact" : s.mode;
  j["prompt"] = prompt;
  j["text"] = text;
  j["tokens"] = done.tokens;
  j["stopped"] = g4::name_of(done.stopped);
  j["seed"] = sampling.seed;
  j["prompt_tokens"] = done.prompt_tokens;
  for (const looked_at& one : seen) {
    j["media"].push_back(
        json::object({{"file", one.file.path}, {"tokens", one.shown.tokens}, {"seconds", one.seconds}}));
  }
  j["load_seconds"] = e.load_seconds;
  j["prompt_seconds"] = done.prompt_seconds;
  j["answer_seconds"] = done.answer_seconds;
  j["tokens_per_second"] = done.tokens_per_second();
  if (!how.drafter.empty()) {
    j["drafter"] = how.drafter;
    j["rounds"] = how.rounds;
    j["guessed"] = how.guessed;
    j["accepted"] = how.accepted;
  }
  return j;
}

double share(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

g4::result<int> generate(const settings& s) {
  const auto prompt = text_or_stdin(s);
  if (!prompt) return g4::unexpected(prompt.error());
  // Wrong sampling options are refused before a model is loaded for them.
  const auto sampling = sampling_of(s);
  if (auto fine = g4::sample::make_sampler(sampling); !fine) return g4::unexpected(std::move(fine.error()));
  if (!s.draft.empty() && sampling.temperature > 0)
    return g4::fail("--draft: guesses are checked against the likeliest token; leave out --temperature");
  if (!s.draft.empty() && sampling.repetition_penalty != 1)
    return g4::fail("--draft: guesses are checked against the likeliest token as the model says it; leave out ",
                    "--repetition-penalty");
  if (!s.draft.empty() && !s.media.empty())
    return g4::fail("--draft: guesses are made for texts without pictures and sounds; leave out --image, --audio and --video");
  if (auto fine = check_media(s); !fine) return g4::unexpected(std::move(fine.error()));
  auto e = open_engine(s);
  if (!e) return g4::unexpected(std::move(e.error()));

  const g4::text::tokenizer& vocabulary = e->model->tokenizer();
  const bool tells = s.stats || is_terminal(STDERR_FILENO);
  std::vector<looked_at> seen;
  std::vector<g4::any_shown> media;
  for (const medium& file : s.media) {
    auto one = look_at(*e, s, file);
    if (!one) return g4::unexpected(std::move(one.error()));
    if (tells) fmt::print(stderr, "{}\n", one->line());
    media.push_back(one->shown);
    seen.push_back(std::move(*one));
  }
  const auto laid = prompt_of(s, *e, *prompt, media);
  if (!laid) return g4::unexpected(laid.error());
  if (laid->size() == 0) return g4::fail("prompt: there is nothing to continue");
  auto session = new_session(*e, session_for(s, laid->size()), media);
  if (!session) return g4::unexpected(std::move(session.error()));

  const interrupt_guard guard;
  output out;
  std::string text;
  const auto on_text = [&](std::string_view piece) {
    if (s.json) {
      text += piece;
    } else if (!out.write(piece)) {
      return false;
    }
    return !interrupt_guard::pressed();
  };
  const std::span<const g4::token_id> begin(laid->laid.ids);
  const g4::generate_options options{s.max_tokens, sampling, !s.raw, s.special};
  g4::result<drafted> done;
  if (!s.draft.empty()) {
    done = speculate(s, *e, **session, begin, on_text);
    if (!done) return g4::unexpected(done.error());
  } else {
    auto answer = g4::generate(**session, vocabulary, laid->laid, options, on_text);
    if (!answer) return g4::unexpected(std::move(answer.error()));
    done->answer = std::move(*answer);
  }
  const g4::generated& answer = done->answer;

  // The same without guesses: the words must be the same, and the time tells what the guesses were worth.
  double speed_up = 0;
  if (s.compare && !s.draft.empty() && !interrupt_guard::pressed()) {
    if (auto empty = (*session)->rewind(0); !empty) return g4::unexpected(std::move(empty.error()));
    const auto plain = g4::generate(**session, vocabulary, begin, options,
                                    [](std::string_view) { return !interrupt_guard::pressed(); });
    if (!plain) return g4::unexpected(plain.error());
    if (plain->tokens != answer.tokens && !interrupt_guard::pressed()) {
      return g4::fail(
          "--compare: without guesses the answer is another; two tokens must have been within rounding of each other");
    }
    if (answer.answer_seconds > 0) speed_up = plain->answer_seconds / answer.answer_seconds;
  }

  if (s.json) {
    auto j = json_of(s, *e, sampling, *prompt, text, *done, seen);
    if (speed_up > 0) j["speed_up"] = speed_up;
    out.write(j.text());
  } else {
    out.write("\n");
  }
  if (tells) {
    fmt::print(stderr,
               "\n{}: loaded in {:.2f} s; prompt of {} tokens in {:.2f} s; {} tokens at {:.1f} per second ({}){}\n",
               e->model->variant(), e->load_seconds, answer.prompt_tokens, answer.prompt_seconds, answer.tokens.size(),
               answer.tokens_per_second(), g4::name_of(answer.stopped),
               sampling.temperature > 0 ? fmt::format("; seed {}", sampling.seed) : std::string());
    if (!done->drafter.empty()) {
      fmt::print(stderr, "{}: {} of {} guesses accepted ({:.0f} %), {:.2f} tokens per run of the model{}\n",
                 done->drafter, done->accepted, done->guessed, 100 * share(done->accepted, done->guessed),
                 share(answer.tokens.size(), done->rounds + 1),
                 speed_up > 0 ? fmt::format(", {:.2f} times as fast as without", speed_up) : std::string());
    }
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return interrupt_guard::pressed() ? interrupt_guard::status() : 0;
}

}  // namespace program
