// A model that runs, and what the commands that run one share.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "console.h"
#include "g4/backend/pool.h"
#include "g4/generate/generate.h"
#include "g4/open/any_model.h"
#include "program.h"

namespace g4 {
class any_senses;
}

namespace program {

struct backends;

/// A model and all that it needs to run, in the order it must go away. The backends themselves are in backends.h.
struct engine {
  engine();
  engine(engine&&) noexcept;
  engine& operator=(engine&&) noexcept;
  ~engine();

  std::string path;
  g4::text_spec spec;
  std::size_t weight_bytes = 0;  ///< in the file
  std::unique_ptr<g4::thread_pool> threads;
  std::unique_ptr<backends> on;
  std::optional<g4::checkpoint> from;
  std::unique_ptr<g4::any_model> model;
  std::unique_ptr<g4::any_senses> senses;  ///< null until something is shown: media.h
  double load_seconds = 0;
};

/// Opens the model that the settings ask for, with progress on a terminal.
///
/// settled   weights move into the kernels' order while they are loaded, not while they are used first
[[nodiscard]] g4::result<engine> open_engine(const settings& s, bool settled = false);

/// Makes the backend that the settings ask for, and its threads.
[[nodiscard]] g4::result<void> add_backend(engine& e, const settings& s, bool settled = false);

/// A session's options for so many tokens.
[[nodiscard]] g4::session_options options_of(const settings& s, std::size_t context, std::size_t best_logits = 0);

/// What opens a turn of a conversation.
[[nodiscard]] const char* turn_mark(const engine& e);

/// What `generate` keeps keys and values as unless told.
[[nodiscard]] g4::storage usual_cache();

/// How many of the greatest logits to compute for choosing a token, by --head and what is chosen from; 0 is all.
[[nodiscard]] std::size_t deciding_logits(const settings& s);

/// Continues `prompt` with guesses that the model checks (--draft). Greedy; the answer is the same as without.
struct drafted {
  g4::generated answer;
  std::string drafter;
  std::size_t rounds = 0;
  std::size_t guessed = 0;
  std::size_t accepted = 0;
};
[[nodiscard]] g4::result<drafted> speculate(const settings& s, engine& e, g4::any_session& session,
                                            std::span<const g4::token_id> prompt,
                                            const std::function<bool(std::string_view)>& on_text);

}  // namespace program
