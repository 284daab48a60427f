// How a model is shared out among ranks.
#pragma once

#include <cstddef>
#include <string>

#include "g4/core/result.h"
#include "g4/spec/text.h"
#include "json_text.h"
#include "program.h"

namespace program {

/// How a model runs on several ranks, in figures.
struct ranks_figures {
  std::size_t of_a_rank = 0;  ///< bytes of the weights that the rank with most of them has
  std::size_t of_all = 0;     ///< bytes of the model's weights
  std::size_t read = 0;       ///< bytes of its weights that a rank reads for a token
  std::size_t exchanges = 0;  ///< of a token
  std::size_t sent = 0;       ///< bytes of them that a rank sends to each other, without the leader's word
};

/// What each of `s.ranks` ranks has of every part, what that takes, and how often they meet.
[[nodiscard]] g4::result<std::string> ranks_text(const settings& s, const g4::text_spec& m);

/// The figures alone.
[[nodiscard]] g4::result<json> ranks_json(const settings& s, const g4::text_spec& m);

}  // namespace program
