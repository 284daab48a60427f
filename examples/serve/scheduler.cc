#include "scheduler.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <span>
#include <utility>

#include "shown_text.h"
#include "spoken.h"

namespace serve {

namespace {

constexpr std::size_t least_prefix = 32;  // tokens: below, copying a cache is no gain worth a session

refusal ending() { return busy("the server is ending"); }

/// Why a text cannot be run: the client's fault where it is too long, and else the server's.
refusal too_long(std::size_t prompt, std::size_t context) {
  return refuse("messages", "the prompt has " + std::to_string(prompt) + " tokens; a text may have " +
                                std::to_string(context) + ", and one of them is the answer's first",
                "context_length_exceeded")
      .value();
}

}  // namespace

/// A text that is being answered: it is called with each piece.
struct scheduler::answer {
  answer(order&& o, metrics& counted)
      : to(std::move(o.to)), reader(o.marks, std::move(o.stops)), asked(o.asked), counts(counted) {}

  bool operator()(std::string_view piece) {
    if (!began) {
      began = true;
      ++counts.first_tokens;
      counts.waited_microseconds += static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - asked).count());
    }
    std::vector<spoken> pieces;
    const bool more = reader.push(piece, pieces);
    to->say(std::move(pieces));
    return more && to->wanted();
  }

  std::shared_ptr<ticket> to;
  answer_reader reader;
  std::chrono::steady_clock::time_point asked;
  metrics& counts;
  g4::text_id id{};
  usage took;
  bool began = false;
};

/// A system prompt that has been read.
struct scheduler::prefix {
  std::vector<g4::token_id> ids;
  std::unique_ptr<g4::any_session> ran;
  mutable std::uint64_t used = 0;
};

scheduler::scheduler(const models& m, std::size_t queue, std::size_t prefixes, metrics& counts)
    : m_(m), most_waiting_(queue), most_prefixes_(prefixes), counts_(counts), thread_([this] { run(); }) {}

scheduler::~scheduler() { stop(); }

granted<std::shared_ptr<ticket>> scheduler::submit(order o) {
  std::shared_ptr<ticket> to = o.to;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return refused(ending());
    std::erase_if(waiting_, [&](const order& w) { return !w.to->wanted() && ++counts_.cancelled != 0; });
    if (waiting_.size() >= most_waiting_) {
      ++counts_.turned_away;
      return refused(busy("all places are taken and " + std::to_string(waiting_.size()) +
                          " requests wait, as many as may; try again in a while"));
    }
    waiting_.push_back(std::move(o));
    counts_.queued = waiting_.size();
    busy_ = true;
  }
  changed_.notify_all();
  return to;
}

void scheduler::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

bool scheduler::idle_within(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [&] { return !busy_; });
}

void scheduler::stop() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void scheduler::run() {
  for (;;) {
    while (!stopping_ && admit(false)) {
    }
    if (!stopping_ && !running_.empty()) {
      try {
        advance();
      } catch (const std::exception& e) {  // memory, most likely: nobody can tell whose
        end_all(broken(std::string("this answer could not be gone on with: ") + e.what()));
      }
      continue;
    }
    std::unique_lock lock(mutex_);
    if (!stopping_ && !waiting_.empty()) continue;
    if (!stopping_) {
      busy_ = false;
      changed_.notify_all();
      changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      continue;
    }
    for (order& o : waiting_) o.to->end({{}, {}, ending()});
    waiting_.clear();
    counts_.queued = 0;
    busy_ = false;
    lock.unlock();
    end_all(ending());
    changed_.notify_all();
    return;
  }
}

void scheduler::end_all(const refusal& why) {
  for (const auto& a : running_) {
    if (a == nullptr) continue;
    static_cast<void>(m_.batch->leave(a->id));
    a->to->end({{}, a->took, why});
  }
  running_.clear();
  note_running();
}

/// The next order whose turn it is, if it can be begun now.
///
/// beside   something runs beside the batch: only a text that can join at once
std::optional<order> scheduler::next(bool beside) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const order& w) { return !w.to->wanted() && ++counts_.cancelled != 0; });
  counts_.queued = waiting_.size();
  if (waiting_.empty()) return {};
  const order& first = waiting_.front();
  const bool joins = first.texts.empty() && first.media.empty();
  if (joins && running_.size() == m_.batch->options().texts) return {};
  if (beside && (!joins || (first.shared >= least_prefix && known_prefix(first) == nullptr))) return {};
  std::optional<order> taken(std::move(waiting_.front()));
  waiting_.pop_front();
  counts_.queued = waiting_.size();
  return taken;
}

bool scheduler::admit(bool beside) {
  std::optional<order> o = next(beside);
  if (!o) return false;
  const std::shared_ptr<ticket> to = o->to;
  try {
    if (!o->texts.empty()) {
      embed(std::move(*o));
    } else if (!o->media.empty()) {
      run_with_media(std::move(*o));
    } else {
      start(std::move(*o), beside);
    }
  } catch (const std::exception& e) {  // memory, most likely: of this order alone
    to->end({{}, {}, broken(std::string("this request could not be answered: ") + e.what())});
  }
  return true;
}

/// One pass over the weights for all texts that are running, and good-bye to those that are done or whose client is gone.
void scheduler::advance() {
  for (auto& a : running_) {
    if (a->to->wanted()) continue;
    static_cast<void>(m_.batch->leave(a->id));
    ++counts_.cancelled;
    a.reset();
  }
  std::erase(running_, nullptr);
  if (!running_.empty()) {
    const auto ran = m_.batch->step();
    ++counts_.steps;
    for (auto& a : running_) {
      if (!ran) {
        static_cast<void>(m_.batch->leave(a->id));
        a->to->end({{}, a->took, broken(ran.error().message)});
        a.reset();
      } else if (!m_.batch->running(a->id)) {
        finish(*a, m_.batch->leave(a->id));
        a.reset();
      }
    }
    std::erase(running_, nullptr);
  }
  note_running();
}

void scheduler::note_running() { counts_.running = running_.size(); }

void scheduler::start(order o, bool beside) {
  if (o.ids.size() >= m_.context) return o.to->end({{}, {}, too_long(o.ids.size(), m_.context)});
  const prefix* after = known_prefix(o);
  const std::size_t cached = after != nullptr ? after->ids.size() : 0;
  if (after == nullptr && !beside && o.shared >= least_prefix && most_prefixes_ > 0) {
    const auto made = prefix_of(o);
    if (made) after = *made;  // and without, the text reads it itself
    if (!o.to->wanted()) return void(++counts_.cancelled);
    if (stopping_) return o.to->end({{}, {}, ending()});
  }
  const std::vector<g4::token_id> prompt = std::move(o.ids);
  if (after == nullptr) return take_in(std::move(o), prompt, nullptr, 0, 0);
  take_in(std::move(o), prompt, after->ran.get(), after->ids.size(), cached);
}

/// A text joins the batch with what is left of its prompt.
///
/// after    what has run the first `read` of its tokens; nullptr: nothing has
/// cached   how many tokens of the prompt were read for another text
void scheduler::take_in(order o, std::span<const g4::token_id> prompt, const g4::any_session* after, std::size_t read,
                        std::size_t cached) {
  g4::generate_options how = o.how;
  auto a = std::make_unique<answer>(std::move(o), counts_);
  a->took = {prompt.size(), cached, 0};
  const g4::guessing guesses{.most = m_.guesses};
  g4::result<g4::text_id> joined;
  if (after != nullptr) {
    how.before = prompt.first(read);
    joined = m_.batch->join(*after, prompt.subspan(read), how, *a, guesses);
  } else {
    joined = m_.batch->join(prompt, how, *a, guesses);
  }
  if (!joined) return a->to->end({{}, {}, refuse("body", joined.error().message).value()});
  a->id = *joined;
  counts_.prompt_tokens += prompt.size();
  counts_.cached_tokens += cached;
  running_.push_back(std::move(a));
  note_running();
}

void scheduler::finish(answer& a, g4::result<g4::generated> done) {
  if (!done) return a.to->end({{}, a.took, broken(done.error().message)});
  a.took.answer_tokens = done->tokens.size();
  counts_.answer_tokens += done->tokens.size();
  counts_.guessed_tokens += done->guessed;
  counts_.accepted_tokens += done->accepted;
  if (done->stopped == g4::stop_reason::cancelled && !a.reader.met_stop()) {
    if (!a.to->wanted()) return void(++counts_.cancelled);
    return a.to->end({{}, a.took, ending()});
  }
  std::vector<spoken> pieces;
  a.reader.finish(pieces);
  a.to->say(std::move(pieces));
  const bool whole = done->stopped == g4::stop_reason::end_of_text || a.reader.met_stop();
  ++counts_.answered;
  a.to->end({whole && a.reader.has_called() ? "tool_calls" : whole ? "stop" : "length", a.took});
}

const scheduler::prefix* scheduler::known_prefix(const order& o) const {
  if (o.shared < least_prefix || o.shared >= o.ids.size()) return nullptr;
  for (const auto& p : prefixes_) {
    if (p->ids.size() == o.shared && std::equal(p->ids.begin(), p->ids.end(), o.ids.begin())) {
      p->used = ++used_;
      return p.get();
    }
  }
  return nullptr;
}

/// Reads a system prompt, in passes as a text of the batch would have it, so that what follows is the same to the bit.
g4::result<const scheduler::prefix*> scheduler::prefix_of(const order& o) {
  const g4::batch_options& each = m_.batch->options();
  if (o.shared >= o.ids.size()) return g4::fail("prefix: nothing follows it");
  if (prefixes_.size() >= most_prefixes_) {
    prefixes_.erase(std::min_element(prefixes_.begin(), prefixes_.end(),
                                     [](const auto& a, const auto& b) { return a->used < b->used; }));
  }
  auto made = std::make_unique<prefix>();
  made->ids.assign(o.ids.begin(), o.ids.begin() + static_cast<std::ptrdiff_t>(o.shared));
  made->used = ++used_;
  auto session = m_.text->session(
      {.context = std::max(o.shared, each.rows), .batch = each.rows, .first_position = each.first_position, .cache = each.cache});
  if (!session) return g4::unexpected(std::move(session.error()));
  made->ran = std::move(*session);
  const std::size_t rows = std::min(each.rows, made->ran->rows_alike());  // more would be rounded otherwise
  for (std::size_t first = 0; first < o.shared; first += rows) {
    if (stopping_ || !o.to->wanted()) return g4::fail("prefix: is not wanted any more");
    const auto some = std::span<const g4::token_id>(made->ids).subspan(first, std::min(rows, o.shared - first));
    if (auto ran = made->ran->run(some); !ran) return g4::unexpected(std::move(ran.error()));
    advance();
  }
  prefixes_.push_back(std::move(made));
  return prefixes_.back().get();
}

void scheduler::run_with_media(order o) {
  program::shown_text text;
  const auto between = [&] {
    while (!stopping_ && admit(true)) {
    }
    advance();
    return !stopping_ && o.to->wanted();
  };
  for (const medium_file& file : o.media) {
    auto shown = m_.look(file);
    if (!shown) return o.to->end({{}, {}, refuse(file.field, shown.error().message).value()});
    text.kept.push_back(std::move(*shown));
    if (!between()) break;
  }
  o.media.clear();
  if (!o.to->wanted()) return void(++counts_.cancelled);
  if (stopping_) return o.to->end({{}, {}, ending()});
  auto laid = m_.senses->lay(o.written, text.kept);
  if (!laid) return o.to->end({{}, {}, refuse("messages", laid.error().message).value()});
  const std::size_t prompt = laid->ids.size();
  if (prompt >= m_.context) return o.to->end({{}, {}, too_long(prompt, m_.context)});
  g4::session_options options{.context = prompt, .batch = m_.media_batch, .cache = m_.batch->options().cache};
  for (const g4::any_shown& one : text.kept) options.batch = std::max(options.batch, one.tokens_at_once);
  auto session = m_.senses->session(options);
  if (!session) return o.to->end({{}, {}, broken(session.error().message)});

  // All but the last token in passes, so that others are not kept waiting; with that one the text joins them.
  g4::laid_prompt<float> left = *laid;
  while (left.ids.size() > 1) {
    const std::size_t length = program::whole_pass(left, std::min(options.batch, left.ids.size() - 1));
    if (length >= left.ids.size()) return o.to->end({{}, {}, refuse("messages", "end in a picture or a sound").value()});
    const auto first = program::part_of(left, 0, length);
    if (auto ran = (*session)->run(first.view()); !ran) return o.to->end({{}, {}, broken(ran.error().message)});
    left = program::part_of(left, length, left.ids.size() - length);
    if (!between()) break;
  }
  while (!stopping_ && o.to->wanted() && running_.size() == m_.batch->options().texts) advance();
  if (!o.to->wanted()) return void(++counts_.cancelled);
  if (stopping_) return o.to->end({{}, {}, ending()});
  take_in(std::move(o), laid->ids, session->get(), prompt - 1, 0);
}

void scheduler::embed(order o) {
  ended how;
  // A pass at a time, so that others are not kept waiting.
  const std::vector<std::span<const g4::token_id>> texts(o.texts.begin(), o.texts.end());
  for (std::size_t first = 0; first < texts.size();) {
    if (!o.to->wanted()) return void(++counts_.cancelled);
    if (stopping_) return o.to->end({{}, {}, ending()});
    std::size_t tokens = texts[first].size(), behind = first + 1;
    while (behind < texts.size() && behind - first < 32 && tokens + texts[behind].size() <= 256) {
      tokens += texts[behind++].size();
    }
    auto vectors = m_.embedder->embed_each(std::span(texts).subspan(first, behind - first));
    if (!vectors) {
      const std::string which = behind == first + 1 ? "input[" + std::to_string(first) + "]" : "input";
      return o.to->end({{}, {}, refuse(which, vectors.error().message).value()});
    }
    std::move(vectors->begin(), vectors->end(), std::back_inserter(how.vectors));
    how.took.prompt_tokens += tokens;
    first = behind;
    while (!stopping_ && admit(true)) {
    }
    if (!running_.empty()) advance();
  }
  counts_.prompt_tokens += how.took.prompt_tokens;
  ++counts_.answered;
  o.to->end(std::move(how));
}

}  // namespace serve
