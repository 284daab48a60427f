// Why a request gets no answer, as OpenAI's clients read it.
#pragma once

#include <string>
#include <utility>

#include "g4/core/result.h"

namespace serve {

/// A status of HTTP and one sentence: the field, what was expected, what was found.
struct refusal {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string message;
  std::string param{};  ///< the field, "messages[2].content"; empty: null
  std::string code{};   ///< a word for programs, "context_length_exceeded"; empty: null
};

template <class T>
using granted = tl::expected<T, refusal>;
using refused = tl::unexpected<refusal>;

/// A request that says what cannot be done.
[[nodiscard]] inline refused refuse(std::string field, std::string sentence, std::string code = {}) {
  return refused({400, "invalid_request_error", field + ": " + std::move(sentence), std::move(field), std::move(code)});
}
/// What the server cannot do now.
[[nodiscard]] inline refusal busy(std::string sentence) {
  return {503, "server_error", std::move(sentence), {}, "server_busy"};
}
/// What went wrong with an answer.
[[nodiscard]] inline refusal broken(std::string sentence) { return {500, "server_error", std::move(sentence), {}, {}}; }

}  // namespace serve
