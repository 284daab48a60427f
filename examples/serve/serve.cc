// `g4 serve`: what is opened, in what order it comes and goes, and how it ends.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "backends.h"
#include "console.h"
#include "door.h"
#include "engine.h"
#include "g4/core/printable.h"
#include "g4/generate/any_batch.h"
#include "g4/generate/any_embedder.h"
#include "media.h"
#include "metrics.h"
#include "program.h"
#include "ranks.h"
#include "scheduler.h"
#include "service.h"

namespace program {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_input = 2048;  // EmbeddingGemma's own

/// "gemma-3-270m-q4_k_m" of a path to that GGUF file, or of a folder its name.
std::string name_of_file(const std::string& path) {
  std::filesystem::path p = std::filesystem::path(path).lexically_normal();
  if (!p.has_filename()) p = p.parent_path();
  const std::string name = p.extension() == ".gguf" ? p.stem().string() : p.filename().string();
  return g4::printable(name.empty() || name == "." || name == ".." ? "model" : name);
}

/// The secret in a file: its first line.
g4::result<std::string> token_in(const std::string& path) {
  auto text = read_file(path);
  if (!text) return text;
  text->resize(std::min(text->find_first_of("\r\n"), text->size()));
  if (text->size() < 8) return g4::fail("--token-file: ", path, ": the first line has ", text->size(), " letters; at least 8 are needed");
  return text;
}

/// A text embedder of its own, on the backend that there is.
g4::result<std::unique_ptr<g4::any_embedder>> open_embedder(engine& e, const settings& s, const g4::checkpoint& from) {
  g4::open_options options;
  options.checks.contents = !s.skip_checks;
  return open_compiled_embedder(from, *e.on->cpu, longest_input, options);
}

}  // namespace

g4::result<int> serve(const settings& s) {
  if (s.backend != "cpu") return g4::fail("--backend: texts are answered together on the cpu backend; found ", s.backend);
  if (auto fine = g4::sample::make_sampler(s.sampling); !fine) return g4::unexpected(std::move(fine.error()));
  if (on_ranks()) return g4::fail("serve: was started ", ranks_started(), " times; it answers from one process");
  std::string token;
  if (!s.token_file.empty()) {
    auto read = token_in(s.token_file);
    if (!read) return g4::unexpected(std::move(read.error()));
    token = std::move(*read);
  }

  // The model that answers, the one that embeds, or both.
  ::serve::menu menu;
  ::serve::models models;
  engine e;
  auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(std::move(from.error()));
  const bool answers = from->spec.sees != g4::visibility::everything;
  std::unique_ptr<g4::any_embedder> embedder;
  std::unique_ptr<g4::any_batch> batch;
  if (answers) {
    from = {};
    auto opened = open_engine(s, true);
    if (!opened) return g4::unexpected(std::move(opened.error()));
    e = std::move(*opened);
    menu.context = models.context = s.context != 0 ? s.context : 4096;
    auto made = open_compiled_batch(*e.model, *e.on->cpu,
                                    {.texts = s.places, .context = menu.context, .cache = options_of(s, 1).cache});
    if (!made) return g4::unexpected(std::move(made.error()));
    batch = std::move(*made);
    menu.text = s.name.empty() ? name_of_file(s.model) : s.name;
    menu.spec = &e.model->spec();
    menu.vocabulary = &e.model->tokenizer();
    menu.no_senses = std::string(e.model->variant()) + " is a model of text alone, or its towers are not beside it";
    if (has_towers(e, s)) {
      const auto senses = senses_of(e, s);
      if (!senses) return g4::unexpected(senses.error());
      models.senses = *senses;
      menu.no_senses.clear();
      if ((*senses)->sees() != nullptr) menu.picture_mark = (*senses)->picture_mark();
      if ((*senses)->hears() != nullptr) menu.sound_mark = (*senses)->sound_mark();
    }
    models.text = e.model.get();
    models.batch = batch.get();
    models.media_batch = s.batch;
    models.guesses = s.guesses_of_each;
    models.look = [&](const ::serve::medium_file& file) {
      return show_bytes(e, s, file.is_picture ? medium::picture : medium::sound, file.bytes, file.is_picture ? "picture" : "sound");
    };
  } else if (!s.embedder.empty()) {
    return g4::fail("--embedder: ", s.model, " embeds texts already, and is no model that answers");
  } else if (auto made = add_backend(e, s); !made) {
    return g4::unexpected(std::move(made.error()));
  }
  if (!answers || !s.embedder.empty()) {
    const std::string& path = answers ? s.embedder : s.model;
    if (answers) from = g4::open_checkpoint(path);
    if (!from) return g4::unexpected(std::move(from.error()));
    if (from->spec.sees != g4::visibility::everything) {
      return g4::fail("--embedder: ", path, ": is a model that answers; a text embedder is needed, such as EmbeddingGemma");
    }
    auto made = open_embedder(e, s, *from);
    if (!made) return g4::unexpected(std::move(made.error()));
    embedder = std::move(*made);
    menu.embedder = answers || s.name.empty() ? name_of_file(path) : s.name;
    menu.embedder_vocabulary = &embedder->tokenizer();
    menu.numbers = embedder->numbers();
    menu.longest_input = longest_input;
    menu.task = s.task;
    models.embedder = embedder.get();
  }

  ::serve::metrics counts;
  const ::serve::service asks(menu);
  ::serve::door_options how;
  how.host = s.host;
  how.port = static_cast<int>(s.port);
  how.token = token;
  how.connections = s.connections;
  how.most.body = s.body_limit << 20;
  how.most.tokens = s.answer_limit != 0 ? s.answer_limit : std::max<std::size_t>(menu.context, 1);
  how.otherwise.sampling = s.sampling;
  const interrupt_guard guard;
  ::serve::scheduler does(models, s.queue, s.prefixes, counts);
  ::serve::door door(how, asks, does, counts);
  const auto port = door.open();
  if (!port) return g4::unexpected(port.error());
  const bool v6 = s.host.find(':') != std::string::npos;
  std::string what;
  for (const std::string& name : asks.models()) what += (what.empty() ? "" : " and ") + name;
  fmt::print(stderr, "g4: serving {} on http://{}{}{}:{}/\n", g4::printable(what), v6 ? "[" : "", g4::printable(s.host),
             v6 ? "]" : "", *port);
  if (batch != nullptr) {
    fmt::print(stderr, "g4: {} texts at once of {} tokens each, {} of memory beside the weights; {} more may wait\n",
               batch->options().texts, batch->options().context, bytes_text(batch->plan().total()), s.queue);
  }
  if (token.empty() && s.host != "localhost" && s.host != "::1" && !s.host.starts_with("127."))
    fmt::print(stderr, "g4: whoever reaches {} is answered: --token-file names a secret that clients must know\n", s.host);

  std::thread lets_in([&] { door.serve(); });
  while (!interrupt_guard::pressed()) std::this_thread::sleep_for(50ms);

  // Nothing new is begun; what runs may end, for a moment; and then everybody is told.
  fmt::print(stderr, "g4: ending; answers have {} seconds more\n", s.grace);
  does.close();
  static_cast<void>(does.idle_within(std::chrono::seconds(s.grace)));
  does.stop();
  for (int i = 0; i < 20 && door.connections() > 0; ++i) std::this_thread::sleep_for(50ms);
  door.shut();
  lets_in.join();
  return 0;
}

}  // namespace program
