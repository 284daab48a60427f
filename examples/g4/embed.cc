#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends.h"
#include "engine.h"
#include "g4/generate/any_embedder.h"
#include "g4/text/embedding_task.h"
#include "json_text.h"

namespace program {

namespace {

/// The texts: those of the command line, or the lines of a file or of stdin that are not empty.
g4::result<std::vector<std::string>> texts_of(const settings& s) {
  if (!s.texts.empty()) return s.texts;
  const auto all = s.file.empty() || s.file == "-" ? read_stdin() : read_file(s.file);
  if (!all) return g4::unexpected(all.error());
  std::vector<std::string> lines;
  for (std::string_view left = *all; !left.empty();) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    std::string_view line = left.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.emplace_back(line);
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  if (lines.empty()) return g4::fail("text: there is nothing to embed");
  return lines;
}

/// The first numbers of a vector, of length 1 again: EmbeddingGemma was trained to mean something by 512, 256 and 128.
void shorten(std::vector<float>& vector, std::size_t numbers) {
  vector.resize(numbers);
  double sum = 0;
  for (const float x : vector) sum += double{x} * double{x};
  if (sum == 0) return;
  for (float& x : vector) x = static_cast<float>(double{x} / std::sqrt(sum));
}

}  // namespace

g4::result<int> embed(const settings& s) {
  if (s.raw_floats && is_terminal(STDOUT_FILENO))
    return g4::fail("--raw: writes bytes, and stdout is a terminal; send it to a file");
  std::optional<g4::text::embedding_task> task;
  if (!s.task.empty()) {
    task = g4::text::embedding_task_of(s.task);
    if (!task) return g4::fail("--task: there is no ", s.task);
  }
  const auto texts = texts_of(s);
  if (!texts) return g4::unexpected(texts.error());

  if (s.backend != "cpu") return g4::fail("--backend ", s.backend, ": texts are embedded on the cpu backend");
  const auto begun = std::chrono::steady_clock::now();
  engine e;
  e.path = s.model;
  const auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(from.error());
  if (from->spec.sees != g4::visibility::everything)
    return g4::fail(s.model,
                    ": is a model that answers; to embed texts a text embedder is needed, such as EmbeddingGemma");
  status_line status(is_terminal(STDERR_FILENO));
  g4::open_options options;
  options.checks.contents = !s.skip_checks;
  options.progress = {&status, [](void* self, std::size_t done, std::size_t total) {
                        static_cast<status_line*>(self)->percent("Loading", done, total);
                      }};
  if (auto made = add_backend(e, s); !made) return g4::unexpected(std::move(made.error()));
  const std::size_t longest = s.context != 0 ? s.context : 2048;
  auto opened = open_compiled_embedder(*from, *e.on->cpu, longest, options);
  if (!opened) return g4::unexpected(std::move(opened.error()));
  status.clear();
  g4::any_embedder& model = **opened;
  const g4::text::tokenizer& vocabulary = model.tokenizer();
  say_note(vocabulary);
  const std::size_t numbers = s.numbers != 0 ? s.numbers : model.numbers();
  if (numbers > model.numbers())
    return g4::fail("--numbers: ", numbers, " numbers of a vector that has ", model.numbers());

  const interrupt_guard guard;
  output out;
  json list = json::array();
  const auto embedding = std::chrono::steady_clock::now();
  std::size_t tokens = 0;
  constexpr std::size_t at_once = 32;  // so that progress is seen and ^C heard
  for (std::size_t first = 0; first < texts->size() && !out.broken(); first += at_once) {
    if (interrupt_guard::pressed()) return interrupt_guard::status();
    status.percent("Embedding", first, texts->size());
    const auto some = std::span(*texts).subspan(first, std::min(at_once, texts->size() - first));
    std::vector<std::vector<g4::token_id>> ids;
    for (const std::string& text : some) {
      const std::string said = task ? g4::text::with_task(*task, text) : text;
      const g4::text::text_range all{0, said.size()};
      auto encoded = vocabulary.encode(said, {.add_bos = true, .plain = std::span(&all, 1)});
      if (!encoded) return g4::unexpected(std::move(encoded.error()));
      if (vocabulary.special().eos != g4::no_token) encoded->push_back(vocabulary.special().eos);
      if (encoded->size() > longest)
        return g4::fail("text ", first + ids.size() + 1, " of ", texts->size(), ": has ", encoded->size(),
                        " tokens; --context leaves room for ", longest);
      tokens += encoded->size();
      ids.push_back(std::move(*encoded));
    }
    auto vectors = model.embed_each(std::vector<std::span<const g4::token_id>>(ids.begin(), ids.end()));
    if (!vectors) return g4::fail("of texts ", first + 1, " to ", first + some.size(), ", ", vectors.error().message);
    for (std::size_t i = 0; i < some.size(); ++i) {
      std::vector<float>& vector = (*vectors)[i];
      if (numbers < vector.size()) shorten(vector, numbers);
      if (s.raw_floats) {
        out.write({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
        continue;
      }
      json row = json::object({{"text", some[i]}, {"tokens", ids[i].size()}});
      json& values = row["vector"] = json::array();
      for (const float x : vector) values.push_back(x);
      list.push_back(std::move(row));
    }
  }
  status.clear();
  if (!s.raw_floats) {
    json j;
    j["model"] = e.path;
    j["variant"] = model.variant();
    j["task"] = s.task.empty() ? json(nullptr) : json(s.task);
    j["numbers"] = numbers;
    j["embeddings"] = std::move(list);
    out.write(j.text());
  }
  if (s.stats || is_terminal(STDERR_FILENO)) {
    const auto seconds = [](auto from_when, auto to_when) {
      return std::chrono::duration<double>(to_when - from_when).count();
    };
    const auto now = std::chrono::steady_clock::now();
    fmt::print(stderr, "{}: loaded in {:.2f} s; {} texts of {} tokens in {:.2f} s\n", model.variant(),
               seconds(begun, embedding), texts->size(), tokens, seconds(embedding, now));
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
