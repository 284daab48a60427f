#include "metrics.h"

#include <fmt/format.h>

#include <string_view>

namespace serve {

std::string metrics::text() const {
  std::string out;
  const auto add = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    out += fmt::format("# HELP g4_{0} {1}\n# TYPE g4_{0} {2}\ng4_{0} {3}\n", name, help, type, value);
  };
  const auto count = [&](std::string_view name, std::string_view help, const counter& c) {
    add(name, "counter", help, static_cast<double>(c.load()));
  };
  out += "# HELP g4_requests_total Requests that were understood.\n# TYPE g4_requests_total counter\n";
  out += fmt::format("g4_requests_total{{endpoint=\"chat\"}} {}\n", chats.load());
  out += fmt::format("g4_requests_total{{endpoint=\"completions\"}} {}\n", completions.load());
  out += fmt::format("g4_requests_total{{endpoint=\"embeddings\"}} {}\n", embeddings.load());
  count("refused_total", "Requests that were refused for what they say.", refused);
  count("failed_total", "Requests that the server could not answer, those turned away included.", failed);
  count("turned_away_total", "Requests turned away for want of a place in the queue.", turned_away);
  count("answered_total", "Texts that were answered to the end.", answered);
  count("cancelled_total", "Texts whose client went away.", cancelled);
  count("prompt_tokens_total", "Tokens of prompts, those read before included.", prompt_tokens);
  count("cached_tokens_total", "Tokens of prompts that had been read for another text.", cached_tokens);
  count("answer_tokens_total", "Tokens of answers.", answer_tokens);
  count("guessed_tokens_total", "Tokens that were guessed.", guessed_tokens);
  count("accepted_tokens_total", "Of those, the ones that were chosen: each saved its text a step.", accepted_tokens);
  count("steps_total", "Passes over the weights for texts together.", steps);
  add("first_token_seconds_sum", "counter", "Time from a request to its answer's first token, all together.",
      static_cast<double>(waited_microseconds.load()) / 1e6);
  count("first_token_seconds_count", "Answers that time is of.", first_tokens);
  add("queued", "gauge", "Texts that wait for a place.", static_cast<double>(queued.load()));
  add("running", "gauge", "Texts that are being answered.", static_cast<double>(running.load()));
  add("connections", "gauge", "Connections that are open.", static_cast<double>(connections.load()));
  return out;
}

}  // namespace serve
