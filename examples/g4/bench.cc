#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends.h"
#include "engine.h"
#include "g4/core/printable.h"
#include "g4/generate/any_batch.h"
#include "json_text.h"
#include "media.h"
#include "ranks.h"

namespace program {

namespace {

struct measured {
  std::string test;  ///< "pp512", "tg128", "tg128 @ d4096"
  std::size_t prompt = 0;
  std::size_t generated = 0;
  std::size_t depth = 0;
  std::size_t texts = 1;  ///< at once; per second is of all of them together
  std::vector<double> per_second;
  std::vector<std::pair<std::string, double>> stages{};  ///< of a tower: seconds of each in the fastest run
  std::size_t exchanges = 0;                             ///< of several ranks, in a run
  std::size_t exchanged_bytes = 0;                       ///< that this one sent to each other, in a run
  std::vector<double> exchange_seconds{};                ///< of each run

  [[nodiscard]] static double median_of(std::vector<double> numbers) {
    if (numbers.empty()) return 0;
    std::sort(numbers.begin(), numbers.end());
    const std::size_t half = numbers.size() / 2;
    return numbers.size() % 2 == 1 ? numbers[half] : (numbers[half - 1] + numbers[half]) / 2;
  }
  [[nodiscard]] double median() const { return median_of(per_second); }
  [[nodiscard]] double least() const { return *std::min_element(per_second.begin(), per_second.end()); }
  [[nodiscard]] double most() const { return *std::max_element(per_second.begin(), per_second.end()); }
};

/// Ids all over the vocabulary, the same every time.
std::vector<g4::token_id> some_ids(std::size_t count, std::size_t vocabulary) {
  std::vector<g4::token_id> ids(count);
  std::uint64_t state = 42;
  for (g4::token_id& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<g4::token_id>((state >> 33) % vocabulary);
  }
  return ids;
}

/// Leaves the session with exactly the first `depth` of `ids`.
g4::result<void> fill(g4::any_session& session, std::span<const g4::token_id> ids, std::size_t depth) {
  if (session.size() >= depth && session.rewind(depth)) return {};
  if (auto empty = session.rewind(0); !empty) return g4::unexpected(std::move(empty.error()));
  if (depth == 0) return {};
  if (auto ran = session.run(ids.first(depth)); !ran) return g4::unexpected(std::move(ran.error()));
  return {};
}

/// A run of a test: tokens per second, and what ranks exchanged meanwhile.
struct timed {
  double per_second = 0;
  exchanged with_others;
};

g4::result<timed> time_once(const engine& e, g4::any_session& session, std::span<const g4::token_id> ids, const measured& m) {
  if (auto filled = fill(session, ids, m.depth); !filled) return g4::unexpected(std::move(filled.error()));
  const exchanged before = exchanged_for(e);
  const auto begun = std::chrono::steady_clock::now();
  if (m.prompt > 0) {
    if (auto ran = session.run(ids.subspan(m.depth, m.prompt)); !ran) return g4::unexpected(std::move(ran.error()));
  }
  g4::token_id next = m.generated > 0 ? ids[m.depth] : 0;
  for (std::size_t i = 0; i < m.generated; ++i) {
    if (session.options().best_logits > 0) {
      // How much of a ranked head is read depends on the text: it is the model's own.
      auto ran = session.run_ahead(next, m.generated - i, [&](g4::token_id chosen) {
        next = chosen;
        return ++i < m.generated;
      });
      if (!ran) return g4::unexpected(std::move(ran.error()));
      if (ran->empty()) break;
      const auto likeliest = g4::sample::greedy(*ran);
      if (!likeliest) return g4::unexpected(likeliest.error());
      next = *likeliest;
    } else {
      if (auto ran = session.run(next); !ran) return g4::unexpected(std::move(ran.error()));
      if (i + 1 < m.generated) next = ids[m.depth + i + 1];
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const exchanged after = exchanged_for(e);
  return timed{static_cast<double>(m.prompt + m.generated) / seconds,
               {after.times - before.times, after.bytes - before.bytes, after.seconds - before.seconds}};
}

/// Tokens per second of so many texts that advance together, once all of their prompts have been read.
g4::result<double> time_texts(g4::any_batch& batch, std::span<const g4::token_id> ids, const measured& m) {
  std::vector<g4::text_id> inside;
  auto heard = [](std::string_view) {};
  const g4::generate_options how{.max_tokens = m.generated + 1, .stop_at_end = false};
  for (std::size_t i = 0; i < m.texts; ++i) {
    auto id = batch.join(ids.subspan(i * m.depth, m.depth), how, heard);
    if (!id) return g4::unexpected(std::move(id.error()));
    inside.push_back(*id);
  }
  std::vector<double> seconds;  // of each step
  while (batch.running() == m.texts && !interrupt_guard::pressed()) {
    const auto begun = std::chrono::steady_clock::now();
    if (auto ran = batch.step(); !ran) return g4::unexpected(std::move(ran.error()));
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  }
  for (const g4::text_id id : inside) {
    if (auto left = batch.leave(id); !left) return g4::unexpected(std::move(left.error()));
  }
  // The last steps had a row of each: the prompts, which are alike, ended within a step of each other.
  const std::size_t counted = std::min(m.generated, seconds.size() - 1);
  double all = 0;
  for (std::size_t i = seconds.size() - counted; i < seconds.size(); ++i) all += seconds[i];
  return static_cast<double>(m.texts * counted) / all;
}

/// The generation test in batches.
g4::result<void> time_batches(engine& e, const settings& s, status_line& status, std::vector<measured>& tests) {
  const std::size_t depth = std::max<std::size_t>(s.depth, 1);
  for (const std::size_t texts : s.texts_at_once) {
    measured m{fmt::format("tg{} x{} @ d{}", s.generate_tokens, texts, depth), 0, s.generate_tokens, depth, texts, {}};
    auto batch = open_compiled_batch(
        *e.model, *e.on->cpu, {.texts = texts, .context = depth + s.generate_tokens + 1, .cache = options_of(s, 1).cache});
    if (!batch) {  // the others may be had
      status.clear();
      fmt::print(stderr, "g4: --texts {}: {}\n", texts, batch.error().message);
      continue;
    }
    const std::vector<g4::token_id> ids = some_ids(texts * depth, e.model->tokenizer().size());
    for (std::size_t r = 0; r <= s.repetitions; ++r) {
      status.show(fmt::format("{}: {} of {}", m.test, r, s.repetitions));
      const auto rate = time_texts(**batch, ids, m);
      if (interrupt_guard::pressed()) return {};
      if (!rate) return g4::unexpected(rate.error());
      if (r > 0) m.per_second.push_back(*rate);
    }
    tests.push_back(std::move(m));
  }
  return {};
}

/// A picture of 896 x 896 pixels, and ten seconds of sound, as wild as any.
struct some_media {
  g4::media::pixels picture{std::vector<std::uint8_t>(896 * 896 * 3), 896, 896};
  std::vector<float> sound;

  explicit some_media(std::size_t rate) : sound(10 * rate) {
    std::uint32_t state = 7;
    const auto next = [&state] { return (state = state * 1664525u + 1013904223u) >> 24; };
    for (std::uint8_t& colour : picture.rgb) colour = static_cast<std::uint8_t>(next());
    for (float& sample : sound) sample = static_cast<float>(next()) / 256 - 0.5f;
  }
};

/// Seconds from one stage of a tower to the next.
struct stage_clock {
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  std::vector<std::pair<std::string, double>> stages;
  int layers = 0;

  [[nodiscard]] g4::stage_listener listener() {
    return {this, [](void* self, const char* stage, int layer) { static_cast<stage_clock*>(self)->add(stage, layer); }};
  }
  void add(std::string_view stage, int layer) {
    const auto now = std::chrono::steady_clock::now();
    if (layer >= 0) layers = std::max(layers, layer + 1);
    // Without the sense's name, which stands in front: "vision.layer".
    std::string name(stage.substr(stage.find('.') + 1));
    if (stages.empty() || stages.back().first != name) stages.emplace_back(std::move(name), 0.0);
    stages.back().second += std::chrono::duration<double>(now - last).count();
    last = now;
  }
  /// The layers of a stack as one.
  [[nodiscard]] std::vector<std::pair<std::string, double>> done() {
    for (auto& [name, seconds] : stages) {
      if (name == "layer") name = fmt::format("{} layers", layers);
    }
    return std::move(stages);
  }
};

/// One picture and ten seconds of sound through the towers.
g4::result<void> time_towers(engine& e, const settings& s, status_line& status, std::vector<measured>& tests) {
  const auto senses = senses_of(e, s);
  if (!senses) return g4::unexpected(senses.error());
  const some_media media((*senses)->rate_heard());
  const auto time = [&](const std::string& name, auto&& encode) -> g4::result<void> {
    measured m{name, 0, 0, 0, 1, {}};
    for (std::size_t r = 0; r < s.repetitions + 1; ++r) {
      if (interrupt_guard::pressed()) return {};
      status.show(fmt::format("{} {}/{}", m.test, r, s.repetitions));
      stage_clock stages;
      const auto begun = std::chrono::steady_clock::now();
      const g4::result<g4::any_shown> made = encode(s.verbose ? stages.listener() : g4::stage_listener{});
      if (!made) return g4::unexpected(made.error());
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
      m.prompt = made->tokens;
      if (r == 0) continue;
      m.per_second.push_back(static_cast<double>(made->tokens) / seconds);
      if (m.per_second.back() == m.most()) m.stages = stages.done();
    }
    tests.push_back(std::move(m));
    return {};
  };
  if ((*senses)->sees() != nullptr) {
    const auto see = [&](g4::stage_listener stages) {
      return (*senses)->see(media.picture.view(), {.soft_tokens = s.image_tokens, .stages = stages});
    };
    if (auto done = time("picture 896x896", see); !done) return done;
  }
  if ((*senses)->hears() == nullptr) return {};
  const std::size_t rate = (*senses)->rate_heard(), samples = std::min(media.sound.size(), (*senses)->samples_heard());
  const g4::media::sound heard{std::span(media.sound).first(samples), rate};
  return time(fmt::format("sound {:.3g} s", static_cast<double>(samples) / static_cast<double>(rate)),
              [&](g4::stage_listener stages) { return (*senses)->hear(heard, stages); });
}

}  // namespace

g4::result<int> bench(const settings& s) {
  if (s.prompt_tokens == 0 && s.generate_tokens == 0)
    return g4::fail("bench: --prompt and --generate are both 0; nothing to measure");
  const std::size_t best_logits = s.head == "ranked" ? 1 : 0;
  if (!s.texts_at_once.empty() && (s.backend != "cpu" || s.generate_tokens == 0)) {
    return g4::fail("--texts: ", s.backend != "cpu" ? "texts run together on the cpu backend" : "--generate is 0; nothing to measure");
  }
  if (!s.texts_at_once.empty() && on_ranks()) return g4::fail("--texts: on several ranks one text is measured");
  auto e = open_engine(s, true);
  if (!e) return g4::unexpected(std::move(e.error()));
  std::vector<measured> tests;
  const auto add_test = [&](const char* kind, std::size_t prompt, std::size_t generated, std::size_t depth) {
    if (prompt + generated == 0) return;
    const std::string at = depth > 0 ? fmt::format(" @ d{}", depth) : std::string();
    tests.push_back({fmt::format("{}{}{}", kind, prompt + generated, at), prompt, generated, depth, 1, {}});
  };
  add_test("pp", s.prompt_tokens, 0, s.depth);
  if (s.texts_at_once.empty()) add_test("tg", 0, s.generate_tokens, s.depth);
  if (s.bench_context > s.depth) add_test("tg", 0, s.generate_tokens, s.bench_context);
  std::size_t longest = 0;
  for (const measured& m : tests) longest = std::max(longest, m.depth + m.prompt + m.generated);
  std::unique_ptr<g4::any_session> session;  // of texts that run together a batch has the memory
  if (!tests.empty()) {
    auto made = e->model->session(options_of(s, longest, best_logits));
    if (!made) return g4::unexpected(std::move(made.error()));
    session = std::move(*made);
  }
  const std::vector<g4::token_id> ids = some_ids(longest, e->model->tokenizer().size());

  const interrupt_guard guard;
  status_line status(is_terminal(STDERR_FILENO));
  for (measured& m : tests) {
    for (std::size_t r = 0; r <= s.repetitions; ++r) {
      if (interrupt_guard::pressed()) return interrupt_guard::status();
      status.show(fmt::format("{}: {} of {}", m.test, r, s.repetitions));
      const auto run = time_once(*e, *session, ids, m);
      if (!run) return g4::unexpected(run.error());
      if (r == 0) continue;  // it warms caches up
      m.per_second.push_back(run->per_second);
      m.exchanges = run->with_others.times;
      m.exchanged_bytes = run->with_others.bytes;
      m.exchange_seconds.push_back(run->with_others.seconds);
    }
  }
  if (!s.texts_at_once.empty()) {
    if (auto done = time_batches(*e, s, status, tests); !done) return g4::unexpected(std::move(done.error()));
    if (interrupt_guard::pressed()) return interrupt_guard::status();
  }
  if (s.backend != "cuda" && !on_ranks() && has_towers(*e, s)) {  // towers run beside the text, on the cpu backend or the definitions
    if (auto done = time_towers(*e, s, status, tests); !done) return g4::unexpected(std::move(done.error()));
    if (interrupt_guard::pressed()) return interrupt_guard::status();
  }
  status.clear();
  if (tests.empty()) return g4::fail("bench: nothing could be measured");

  const std::size_t threads = e->threads ? e->threads->workers() : 1;
  const std::string mode = s.backend == "reference" ? "exact" : s.mode;
  output out;
  if (s.json) {
    json list = json::array();
    for (const measured& m : tests) {
      json j;
      j["model_filename"] = e->path;
      j["model_type"] = e->model->variant();
      j["model_size"] = e->weight_bytes;
      j["model_n_params"] = g4::parameters_of(e->spec);
      j["backend"] = s.backend;
      j["mode"] = mode;
      j["n_threads"] = threads;
      j["n_ranks"] = ranks_started();
      if (s.in_stages()) j["n_stages"] = ranks_started();
      j["n_batch"] = s.batch;
      j["n_best_logits"] = best_logits;
      j["test"] = m.test;
      j["n_prompt"] = m.prompt;
      j["n_gen"] = m.generated;
      j["n_depth"] = m.depth;
      j["n_texts"] = m.texts;
      j["median_ts"] = m.median();
      j["min_ts"] = m.least();
      j["max_ts"] = m.most();
      j["samples_ts"] = m.per_second;
      if (on_ranks()) {
        j["n_exchanges"] = m.exchanges;
        j["exchanged_bytes"] = m.exchanged_bytes;
        j["exchange_s"] = measured::median_of(m.exchange_seconds);
      }
      if (!m.stages.empty()) {
        json& stages = j["stages"] = json::array();
        for (const auto& [name, seconds] : m.stages) {
          stages.push_back(json::object({{"stage", name}, {"seconds", seconds}}));
        }
      }
      list.push_back(std::move(j));
    }
    out.write(list.text());
  } else {
    out.write(fmt::format("{} ({}, {}), {} {}, {}{} threads, batch {}, {} logits\n\n", e->model->variant(),
                          bytes_text(e->weight_bytes), g4::printable(e->path), s.backend, mode,
                          on_ranks() ? fmt::format("{} {} of ", ranks_started(), s.in_stages() ? "stages" : "ranks") : "", threads, s.batch,
                          best_logits > 0 ? fmt::format("{} best", best_logits) : "all"));
    out.write(fmt::format("{:<16} {:>12} {:>12} {:>12} {:>12}{}\n", "test", "median t/s", "least", "most", "median ms",
                          on_ranks() ? "  of it in exchanges" : ""));
    for (const measured& m : tests) {
      out.write(fmt::format("{:<16} {:>12.2f} {:>12.2f} {:>12.2f} {:>12.2f}{}\n", m.test, m.median(), m.least(), m.most(),
                            1e3 * static_cast<double>((m.prompt + m.generated) * m.texts) / m.median(),
                            on_ranks() ? fmt::format("{:>13.2f} ({})", 1e3 * measured::median_of(m.exchange_seconds), m.exchanges)
                                       : ""));
    }
    for (const measured& m : tests) {
      if (m.stages.empty()) continue;
      double all = 0;
      for (const auto& stage : m.stages) all += stage.second;
      out.write(fmt::format("\n{:<30} {:>10} {:>7}\n", m.test + ", its fastest run", "ms", "%"));
      for (const auto& [name, seconds] : m.stages) {
        out.write(fmt::format("{:<30} {:>10.2f} {:>7.1f}\n", name, 1e3 * seconds, 100 * seconds / all));
      }
    }
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
