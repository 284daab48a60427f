#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "engine.h"
#include "g4/core/printable.h"
#include "g4/text/chat_gemma3.h"
#include "g4/text/chat_gemma4.h"
#include "media.h"

namespace program {

namespace {

using g4::token_id;

/// Lines of stdin, as they come.
class line_reader {
 public:
  enum class end { line, input, interrupted, too_long };
  end next(std::string& line) {
    for (;;) {
      if (const std::size_t at = held_.find('\n', searched_); at != std::string::npos) {
        line.assign(held_, 0, at);
        held_.erase(0, at + 1);
        searched_ = 0;
        return end::line;
      }
      searched_ = held_.size();
      if (held_.size() > longest_text) return end::too_long;
      // Ctrl-C just before the wait would not end it, nor one that another thread is told of: it is looked for as well.
      pollfd input{STDIN_FILENO, POLLIN, 0};
      while (::poll(&input, 1, 100) == 0) {
        if (interrupt_guard::pressed()) return end::interrupted;
      }
      if (interrupt_guard::pressed()) return end::interrupted;
      char buffer[65536];
      const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) return end::interrupted;
      if (count <= 0) {
        if (held_.empty()) return end::input;
        searched_ = 0;
        line = std::exchange(held_, {});  // the last line of a file may lack its end
        return end::line;
      }
      held_.append(buffer, static_cast<std::size_t>(count));
    }
  }

 private:
  std::string held_;
  std::size_t searched_ = 0;  // no line ends before here
};

/// The ids of a conversation, turn by turn, and what was shown in it. What was said before is never tokenised again.
class conversation {
 public:
  conversation(const g4::text::tokenizer& vocabulary, g4::generation family, bool opens_with_empty_thought,
               const settings& s)
      : vocabulary_(vocabulary),
        family_(family),
        empty_thought_(opens_with_empty_thought && !s.think),
        system_(s.system),
        think_(s.think) {}

  /// Everything up to where the model's answer to `said` begins.
  ///
  /// senses   of what is shown in this question; null where nothing is
  [[nodiscard]] g4::result<shown_text> ask(const std::string& said, const std::vector<g4::any_shown>& media,
                                           const g4::any_senses* senses) {
    const bool first = history_.size() == 0;
    shown_text question;
    auto parts = parts_of(said, media, question.kept);
    if (!parts) return g4::unexpected(std::move(parts.error()));
    std::vector<g4::text::message> messages;
    if (first && !system_.empty()) messages.push_back({g4::text::role::system, system_, {}, {}, {}, {}, {}});
    messages.push_back({g4::text::role::user, said, {}, {}, {}, {}, {}});
    if (!media.empty()) messages.back().said = std::move(*parts);
    // Later turns stand behind the text so far, without <bos>; what opens one answer is no part of the next prompt.
    const std::string picture = senses == nullptr ? std::string() : senses->picture_mark();
    const std::string sound = senses == nullptr ? std::string() : senses->sound_mark();
    const auto prompt = gemma4()
                            ? g4::text::gemma4_prompt(messages, {.thinking = first && think_, .empty_thought = false})
                            : g4::text::gemma3_prompt(messages, {.image_mark = picture, .audio_mark = sound});
    if (!prompt) return g4::unexpected(prompt.error());
    if (auto laid = question.lay_out(*prompt, vocabulary_, media.empty() ? nullptr : senses); !laid) {
      return g4::unexpected(std::move(laid.error()));
    }
    if (!first) {
      auto close = marked(gemma4() ? "<turn|>\n" : "<end_of_turn>\n");
      if (!close) return close;
      history_.append(*close);
      if (question.size() > 0 && question.laid.ids.front() == vocabulary_.special().bos) {
        question.laid = question.from(1);
      }
    }
    history_.append(question);
    shown_text all = history_;
    if (gemma4() && empty_thought_) {
      auto opening = marked("<|channel>thought\n<channel|>");
      if (!opening) return opening;
      all.append(*opening);
    }
    return all;
  }

  /// Notes the model's answer, without the token that ends it and without its thoughts.
  void answered(std::span<const token_id> ids) {
    const token_id open = vocabulary_.find("<|channel>");
    const token_id close = vocabulary_.find("<channel|>");
    bool thinking = false;
    for (const token_id id : ids) {
      if (vocabulary_.ends_answer(id)) break;
      if (gemma4() && id == open) thinking = true;
      if (!thinking) history_.laid.ids.push_back(id);
      if (gemma4() && id == close) thinking = false;
    }
  }

  /// Takes the last question back: it does not fit.
  void forget_from(std::size_t size) { history_.resize(size); }
  [[nodiscard]] std::size_t size() const { return history_.size(); }
  void clear() { history_ = {}; }

 private:
  [[nodiscard]] bool gemma4() const { return family_ == g4::generation::gemma4; }
  [[nodiscard]] g4::result<shown_text> marked(std::string_view text) const {
    auto ids = vocabulary_.encode(text, {.parse_special = true});
    if (!ids) return g4::unexpected(std::move(ids.error()));
    return shown_text{{std::move(*ids), {}}, {}};
  }

  const g4::text::tokenizer& vocabulary_;
  g4::generation family_;
  bool empty_thought_;
  std::string system_;
  bool think_;
  shown_text history_;
};

/// What is shown of an answer: thoughts dimmed, control tokens not at all.
class answer_printer {
 public:
  answer_printer(output& out, bool thoughts, bool colours) : out_(out), thoughts_(thoughts), colours_(colours) {}
  bool operator()(std::string_view piece) {
    if (thoughts_) {
      if (piece == "<|channel>") return !colours_ || out_.write("\x1b[2m");
      if (piece == "<channel|>") return out_.write(colours_ ? "\x1b[0m\n" : "\n");
    }
    return out_.write(piece);
  }

 private:
  output& out_;
  bool thoughts_;
  bool colours_;
};

/// Brings the session to hold the longest beginning of `wanted` that it can, and returns how many tokens that is.
g4::result<std::size_t> reuse(g4::any_session& session, const shown_text& ran, const shown_text& wanted) {
  std::size_t same = ran.shared_with(wanted, wanted.size() - 1);
  if (same != session.size() && !session.rewind(same)) {
    same = 0;
    if (auto empty = session.rewind(0); !empty) return g4::unexpected(std::move(empty.error()));
  }
  return same;
}

constexpr std::pair<std::string_view, medium::kind> show_commands[] = {
    {"/image", medium::picture}, {"/audio", medium::sound}, {"/video", medium::video}};

/// "/image PATH" as the file it names.
std::optional<medium> shown_by(const std::string& line) {
  for (const auto& [command, kind] : show_commands) {
    if (!line.starts_with(command) || (line.size() > command.size() && line[command.size()] != ' ')) continue;
    const std::size_t from = line.find_first_not_of(' ', command.size());
    const std::size_t to = line.find_last_not_of(' ');
    if (from == std::string::npos || from > to) return medium{kind, ""};
    return medium{kind, line.substr(from, to - from + 1)};
  }
  return {};
}

}  // namespace

g4::result<int> chat(const settings& s) {
  auto sampling = sampling_of(s);
  if (auto fine = g4::sample::make_sampler(sampling); !fine) return g4::unexpected(std::move(fine.error()));
  auto e = open_engine(s);
  if (!e) return g4::unexpected(std::move(e.error()));
  const g4::text::tokenizer& vocabulary = e->model->tokenizer();
  const g4::generation family = g4::generation_of(e->spec);
  if (vocabulary.find(turn_mark(*e)) == g4::no_token)
    return g4::fail(s.model, ": the vocabulary has no ", turn_mark(*e), ", which opens a turn of a conversation");
  if (s.think && family != g4::generation::gemma4) return g4::fail("--think: only Gemma 4 thinks before it answers");
  const g4::session_options wanted_options = options_of(s, s.context != 0 ? s.context : 8192, deciding_logits(s));
  auto session = new_session(*e, wanted_options, {});
  if (!session) return g4::unexpected(std::move(session.error()));

  const bool interactive = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  // The large models of Gemma 4 want an empty thought where they are not to think; the small ones do not.
  conversation talk(vocabulary, family, !e->spec.per_layer, s);
  interrupt_guard guard(interrupt_guard::answer);
  status_line status(is_terminal(STDERR_FILENO));
  line_reader lines;
  output out;
  shown_text ran;
  std::vector<g4::any_shown> media;  // shown with the next question
  const auto complain = [](const std::string& why) { fmt::print(stderr, "g4: {}\n", g4::printable(why)); };
  const auto show = [&](const medium& file) -> g4::result<void> {
    const bool first = e->senses == nullptr;
    auto seen = look_at(*e, s, file);
    if (!seen) return g4::unexpected(std::move(seen.error()));
    if (interactive || s.stats) fmt::print(stderr, "{}\n", seen->line());
    media.push_back(std::move(seen->shown));
    if (!first && media.back().tokens_at_once <= (*session)->options().batch) return {};
    // Another session: one that knows the towers' own tokens, and runs the whole picture at once.
    auto larger = new_session(*e, wanted_options, media);
    if (!larger) return g4::unexpected(std::move(larger.error()));
    session = std::move(larger);
    ran = {};
    return {};
  };
  for (const medium& file : s.media) {
    if (auto shown = show(file); !shown) return g4::unexpected(std::move(shown.error()));
  }
  if (interactive) {
    out.write(fmt::format(
        "{}. Ctrl-C stops an answer; /clear starts anew; /exit or Ctrl-D ends. A line that ends in \\ goes on.\n"
        "/image PATH, /audio PATH and /video PATH show a file with the next question.\n",
        e->model->variant()));
  }
  for (std::string said; !out.broken();) {
    guard.forget();
    if (interactive) out.write(said.empty() ? "\n> " : "  ");
    std::string line;
    const line_reader::end got = lines.next(line);
    if (got == line_reader::end::input) {
      if (interactive) out.write("\n");
      break;
    }
    if (got == line_reader::end::too_long || said.size() + line.size() > longest_text)
      return g4::fail("stdin: a question has more than ", longest_text >> 20, " MiB");
    if (got == line_reader::end::interrupted) {
      said.clear();
      continue;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty() && line.back() == '\\') {
      line.back() = '\n';
      said += line;
      continue;
    }
    said += line;
    const std::string question = std::exchange(said, {});
    if (question == "/exit") break;
    if (question == "/clear") {
      talk.clear();
      media.clear();
      continue;
    }
    if (const auto file = shown_by(question); file.has_value()) {
      auto shown = !file->path.empty()
                       ? show(*file)
                       : g4::result<void>(g4::fail(question.substr(0, 6), " needs a path"));
      if (shown) continue;
      // Without a terminal nobody would see that the answer is to a question without its picture.
      if (!interactive) return g4::unexpected(std::move(shown.error()));
      complain(shown.error().message);
      continue;
    }
    if (question.find_first_not_of(" \t\n") == std::string::npos) continue;

    guard.forget();
    const std::size_t before = talk.size();
    const auto wanted = talk.ask(question, media, e->senses.get());
    if (!wanted && interactive && !media.empty()) {  // places in the question and files do not match: ask again
      complain(wanted.error().message);
      talk.forget_from(before);
      continue;
    }
    if (!wanted) return g4::unexpected(wanted.error());
    const auto held = reuse(**session, ran, *wanted);
    if (!held) return g4::unexpected(held.error());
    ran.resize(*held);
    if (wanted->size() >= (*session)->options().context) {
      const std::string why = fmt::format(
          "the context of {} tokens is full: the conversation and this question need {}; /clear starts anew, "
          "--context N makes room for more",
          (*session)->options().context, wanted->size());
      if (!interactive) return g4::fail(why);
      complain(why);
      talk.forget_from(before);
      continue;
    }
    g4::laid_prompt<float> left = wanted->from(*held);
    const std::size_t read = left.ids.size();
    const auto whole = run_most(**session, left, status);
    if (!whole) return g4::unexpected(whole.error());
    if (!*whole) {
      talk.forget_from(before);
      ran = *wanted;
      ran.resize((*session)->size());
      continue;
    }
    media.clear();
    answer_printer print(out, s.think, interactive);
    g4::generate_options options{s.max_tokens, sampling, true, s.think || s.special};
    options.before = std::span<const token_id>(wanted->laid.ids).first(wanted->size() - left.ids.size());
    const auto done = g4::generate(**session, vocabulary, left, options,
                                   [&](std::string_view piece) { return print(piece) && !interrupt_guard::pressed(); });
    if (!done) return g4::unexpected(done.error());
    out.write(interactive && interrupt_guard::pressed() ? "\x1b[0m ...\n" : "\n");
    talk.answered(done->tokens);
    ran = *wanted;
    ran.laid.ids.insert(ran.laid.ids.end(), done->tokens.begin(), done->tokens.end());
    ran.resize((*session)->size());
    ++sampling.seed;  // the same question again is another chance
    if (s.stats) {
      fmt::print(stderr, "{} tokens read of {}; {} tokens at {:.1f} per second ({})\n", read, wanted->size(),
                 done->tokens.size(), done->tokens_per_second(), g4::name_of(done->stopped));
    }
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
