#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "engine.h"
#include "json_text.h"

namespace program {

namespace {

/// -log softmax(logits)[id]. Summed in a fixed number of parts, so that the threads do not change the result.
double surprise(std::span<const float> logits, g4::token_id id, g4::pool& threads) {
  constexpr std::size_t parts = 16;
  const float highest = *std::max_element(logits.begin(), logits.end());
  std::array<double, parts> sums{};
  const std::size_t length = (logits.size() + parts - 1) / parts;
  threads.run(parts, [&](std::size_t part, std::size_t) {
    const std::size_t first = std::min(logits.size(), part * length);
    double sum = 0;
    for (const float x : logits.subspan(first, std::min(length, logits.size() - first)))
      sum += static_cast<double>(std::exp(x - highest));
    sums[part] = sum;
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return std::log(sum) + static_cast<double>(highest) - static_cast<double>(logits[static_cast<std::size_t>(id)]);
}

}  // namespace

/// The text in stretches of `context` tokens, each behind its own <bos>; every token of the text is counted once.
g4::result<int> perplexity(const settings& s) {
  const auto text = s.text == "-" || !s.has_text ? read_stdin() : read_file(s.text);
  if (!text) return g4::unexpected(text.error());
  auto e = open_engine(s);
  if (!e) return g4::unexpected(std::move(e.error()));
  const g4::text::tokenizer& vocabulary = e->model->tokenizer();
  const g4::text::text_range all{0, text->size()};
  const auto ids = vocabulary.encode(*text, {.parse_special = s.special, .plain = {&all, s.special ? 0u : 1u}});
  if (!ids) return g4::unexpected(ids.error());
  if (ids->empty()) return g4::fail("text: there is nothing to measure");
  const g4::token_id bos = vocabulary.special().bos;
  if (bos == g4::no_token)
    return g4::fail(s.model, ": the vocabulary has no <bos>, before which nothing can be measured");

  const std::size_t context = s.context != 0 ? s.context : 2048;
  if (context < 2)
    return g4::fail("--context: ", context, " tokens leave nothing to measure behind <bos>; expected at least 2");
  auto session = e->model->session(options_of(s, std::min(context, ids->size() + 1)));
  if (!session) return g4::unexpected(std::move(session.error()));

  g4::inline_pool no_threads;
  g4::pool& threads = e->threads ? static_cast<g4::pool&>(*e->threads) : no_threads;
  const interrupt_guard guard;
  status_line status(is_terminal(STDERR_FILENO));
  double sum = 0;
  std::size_t counted = 0;
  std::vector<g4::token_id> stretch;
  const auto begun = std::chrono::steady_clock::now();
  for (std::size_t first = 0; first < ids->size(); first += context - 1) {
    const std::span<const g4::token_id> part =
        std::span(*ids).subspan(first, std::min(context - 1, ids->size() - first));
    stretch.assign(1, bos);
    stretch.insert(stretch.end(), part.begin(), part.end());
    if (auto empty = (*session)->rewind(0); !empty) return g4::unexpected(std::move(empty.error()));
    // The last token predicts nothing that is asked for, but every row that is wanted lies before it.
    std::span<const g4::token_id> left(stretch.data(), stretch.size() - 1);
    for (std::size_t at = 0; !left.empty();) {
      if (interrupt_guard::pressed()) return interrupt_guard::status();
      const auto chunk = left.first(std::min(left.size(), s.batch));
      const auto ran =
          (*session)->run_all(g4::prompt_view<float>{chunk}, [&](std::size_t t, std::span<const float> row) {
            sum += surprise(row, stretch[at + t + 1], threads);
            ++counted;
          });
      if (!ran) return g4::unexpected(ran.error());
      at += chunk.size();
      left = left.subspan(chunk.size());
      status.percent(fmt::format("perplexity {:.4f}  ", std::exp(sum / static_cast<double>(counted))), counted,
                     ids->size());
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  status.clear();
  const double mean = sum / static_cast<double>(counted);
  output out;
  if (s.json) {
    json j;
    j["model"] = e->path;
    j["variant"] = e->model->variant();
    j["backend"] = s.backend;
    j["mode"] = s.backend == "reference" ? "exact" : s.mode;
    j["context"] = context;
    j["tokens"] = counted;
    j["mean_nll"] = mean;
    j["perplexity"] = std::exp(mean);
    j["tokens_per_second"] = static_cast<double>(counted) / seconds;
    out.write(j.text());
  } else {
    out.write(fmt::format("tokens      {}\nmean NLL    {:.6f}\nperplexity  {:.4f}\n", counted, mean, std::exp(mean)));
  }
  if (s.stats || is_terminal(STDERR_FILENO)) {
    fmt::print(stderr, "{}: {:.1f} tokens per second\n", e->model->variant(), static_cast<double>(counted) / seconds);
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
