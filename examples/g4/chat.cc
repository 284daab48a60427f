#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "engine.h"
#include "g4/text/chat_gemma3.h"
#include "g4/text/chat_gemma4.h"

namespace program {

namespace {

using g4::text::token;

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

/// The ids of a conversation, turn by turn. What was said before is never tokenised again.
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
  [[nodiscard]] g4::result<std::vector<token>> ask(const std::string& said) {
    const bool first = history_.empty();
    std::vector<g4::text::message> messages;
    if (first && !system_.empty()) messages.push_back({g4::text::role::system, system_, {}, {}, {}, {}, {}});
    messages.push_back({g4::text::role::user, said, {}, {}, {}, {}, {}});
    // Later turns stand behind the text so far, without <bos>; what opens one answer is no part of the next prompt.
    const auto prompt = gemma4()
                            ? g4::text::gemma4_prompt(messages, {.thinking = first && think_, .empty_thought = false})
                            : g4::text::gemma3_prompt(messages);
    if (!prompt) return g4::unexpected(prompt.error());
    auto ids = vocabulary_.encode(prompt->text, {.parse_special = true, .plain = prompt->said});
    if (!ids) return ids;
    if (!first) {
      auto close = marked(gemma4() ? "<turn|>\n" : "<end_of_turn>\n");
      if (!close) return close;
      history_.insert(history_.end(), close->begin(), close->end());
      if (!ids->empty() && ids->front() == vocabulary_.special().bos) ids->erase(ids->begin());
    }
    history_.insert(history_.end(), ids->begin(), ids->end());
    std::vector<token> all = history_;
    if (gemma4() && empty_thought_) {
      auto opening = marked("<|channel>thought\n<channel|>");
      if (!opening) return opening;
      all.insert(all.end(), opening->begin(), opening->end());
    }
    return all;
  }

  /// Notes the model's answer, without the token that ends it and without its thoughts.
  void answered(std::span<const token> ids) {
    const token open = vocabulary_.find("<|channel>");
    const token close = vocabulary_.find("<channel|>");
    bool thinking = false;
    for (const token id : ids) {
      if (vocabulary_.ends_answer(id)) break;
      if (gemma4() && id == open) thinking = true;
      if (!thinking) history_.push_back(id);
      if (gemma4() && id == close) thinking = false;
    }
  }

  /// Takes the last question back: it does not fit.
  void forget_from(std::size_t size) { history_.resize(std::min(size, history_.size())); }
  [[nodiscard]] std::size_t size() const { return history_.size(); }
  void clear() { history_.clear(); }

 private:
  [[nodiscard]] bool gemma4() const { return family_ == g4::generation::gemma4; }
  [[nodiscard]] g4::result<std::vector<token>> marked(std::string_view text) const {
    return vocabulary_.encode(text, {.parse_special = true});
  }

  const g4::text::tokenizer& vocabulary_;
  g4::generation family_;
  bool empty_thought_;
  std::string system_;
  bool think_;
  std::vector<token> history_;
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

/// Brings the session to hold the longest beginning of `wanted` that it can, and returns what is left to run.
g4::result<std::span<const token>> reuse(g4::any_session& session, const std::vector<token>& ran,
                                         const std::vector<token>& wanted) {
  const std::size_t most = std::min(ran.size(), wanted.size() - 1);
  std::size_t same = static_cast<std::size_t>(
      std::mismatch(ran.begin(), ran.begin() + static_cast<std::ptrdiff_t>(most), wanted.begin()).first - ran.begin());
  if (same != session.size() && !session.rewind(same)) {
    same = 0;
    if (auto empty = session.rewind(0); !empty) return g4::unexpected(std::move(empty.error()));
  }
  return std::span<const token>(wanted).subspan(same);
}

}  // namespace

g4::result<int> chat(const settings& s) {
  auto sampling = sampling_of(s);
  if (auto fine = g4::sample::make_sampler(sampling); !fine) return g4::unexpected(std::move(fine.error()));
  auto e = open_engine(s);
  if (!e) return g4::unexpected(std::move(e.error()));
  const g4::text::tokenizer& vocabulary = e->model->tokenizer();
  const g4::generation family = g4::generation_of(e->spec);
  const char* const mark = family == g4::generation::gemma4 ? "<|turn>" : "<start_of_turn>";
  if (vocabulary.find(mark) == g4::text::no_token)
    return g4::fail(s.model, ": the vocabulary has no ", mark, ", which opens a turn of a conversation");
  if (s.think && family != g4::generation::gemma4) return g4::fail("--think: only Gemma 4 thinks before it answers");
  auto session = e->model->session(options_of(s, s.context != 0 ? s.context : 8192, deciding_logits(s)));
  if (!session) return g4::unexpected(std::move(session.error()));

  const bool interactive = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  // The large models of Gemma 4 want an empty thought where they are not to think; the small ones do not.
  conversation talk(vocabulary, family, !e->spec.per_layer, s);
  interrupt_guard guard(interrupt_guard::answer);
  status_line status(is_terminal(STDERR_FILENO));
  line_reader lines;
  output out;
  std::vector<token> ran;
  if (interactive) {
    out.write(fmt::format(
        "{}. Ctrl-C stops an answer; /clear starts anew; /exit or Ctrl-D ends. A line that ends in \\ goes on.\n",
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
      continue;
    }
    if (question.find_first_not_of(" \t\n") == std::string::npos) continue;

    guard.forget();
    const std::size_t before = talk.size();
    const auto wanted = talk.ask(question);
    if (!wanted) return g4::unexpected(wanted.error());
    auto left = reuse(**session, ran, *wanted);
    if (!left) return g4::unexpected(left.error());
    if (wanted->size() >= (*session)->options().context) {
      const std::string why = fmt::format(
          "the context of {} tokens is full: the conversation and this question need {}; /clear starts anew, "
          "--context N makes room for more",
          (*session)->options().context, wanted->size());
      if (!interactive) return g4::fail(why);
      fmt::print(stderr, "g4: {}\n", why);
      talk.forget_from(before);
      ran.resize((*session)->size());
      continue;
    }
    const auto whole = run_most(**session, *left, status);
    if (!whole) return g4::unexpected(whole.error());
    if (!*whole) {
      talk.forget_from(before);
      ran.assign(wanted->begin(), wanted->begin() + static_cast<std::ptrdiff_t>((*session)->size()));
      continue;
    }
    answer_printer print(out, s.think, interactive);
    g4::generate_options options{s.max_tokens, sampling, true, s.think || s.special};
    options.before = std::span<const token>(*wanted).first(wanted->size() - left->size());
    const auto done = g4::generate(**session, vocabulary, *left, options,
                                   [&](std::string_view piece) { return print(piece) && !interrupt_guard::pressed(); });
    if (!done) return g4::unexpected(done.error());
    out.write(interactive && interrupt_guard::pressed() ? "\x1b[0m ...\n" : "\n");
    talk.answered(done->tokens);
    ran = *wanted;
    ran.insert(ran.end(), done->tokens.begin(), done->tokens.end());
    ran.resize((*session)->size());
    ++sampling.seed;  // the same question again is another chance
    if (s.stats) {
      fmt::print(stderr, "{} tokens read of {}; {} tokens at {:.1f} per second ({})\n", left->size(), wanted->size(),
                 done->tokens.size(), done->tokens_per_second(), g4::name_of(done->stopped));
    }
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
