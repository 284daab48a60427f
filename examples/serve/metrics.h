// What a server counts, for GET /metrics.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace serve {

/// Any thread adds to these.
struct metrics {
  using counter = std::atomic<std::uint64_t>;
  counter chats{0}, completions{0}, embeddings{0};  ///< requests that were understood
  counter refused{0};                               ///< requests with an answer from 400 to 499
  counter failed{0};                                ///< and from 500 on, those turned away included
  counter turned_away{0};                           ///< for want of a place in the queue or a connection
  counter answered{0}, cancelled{0};                ///< texts, to their end and not
  counter prompt_tokens{0}, cached_tokens{0}, answer_tokens{0};
  counter guessed_tokens{0}, accepted_tokens{0};    ///< guesses at what follows, and those that came true
  counter steps{0};                                 ///< passes over the weights for texts together
  counter waited_microseconds{0};                   ///< from a request to its answer's first token, all together
  counter first_tokens{0};                          ///< of so many answers
  std::atomic<std::size_t> queued{0}, running{0}, connections{0};

  /// All of them in the text format of Prometheus.
  [[nodiscard]] std::string text() const;
};

}  // namespace serve
