/// Passes that checks and engines under test both make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "conformance/runner/engine.h"

namespace g4::conformance {

/// The logits [T, V] of all tokens of a new text; of the tokens `rows` alone, where there are any.
[[nodiscard]] result<std::vector<double>> all_logits(loaded_model& model, const prompt& what,
                                                     const session_options& options, observer* who,
                                                     const std::vector<std::int32_t>& rows = {});

/// What a target makes of guesses.
struct verified_round {
  std::vector<std::int32_t> choices;  ///< the greatest logit behind each token
  std::size_t agreed = 0;             ///< guesses that were the target's choice, up to the first that was not
};

/// Runs tried = the token that was chosen and the guesses for what follows it, and adds their logits to `logits`.
[[nodiscard]] result<verified_round> verify(running_text& target, const std::vector<std::int32_t>& tried,
                                      std::vector<double>& logits);

}  // namespace g4::conformance
