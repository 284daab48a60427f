// The program's settings, what its commands share, and the commands.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "console.h"
#include "g4/g4.h"
#include "variants.h"

namespace program {

/// Everything that can be said on the command line.
struct settings {
  std::string model;
  std::string backend = "cpu";
  std::string mode = "fast";
  std::size_t threads = 0;  ///< 0: as many as the machine has
  std::size_t context = 0;  ///< 0: as much as the command needs
  std::size_t batch = 256;
  std::string head = "auto";  ///< ranked: compute the logits that decide; whole: all; auto: ranked for greedy choice
  std::string cache;          ///< what keys and values are kept as; empty: as the mode does
  std::string cache_global;   ///< the same of full-attention layers; empty: as `cache`
  bool skip_checks = false;
  bool json = false;
  bool stats = false;

  g4::sample::sampler_options sampling;
  std::optional<std::uint64_t> seed;
  std::size_t max_tokens = 256;
  bool special = false;
  bool raw = false;
  std::string draft;
  std::size_t guesses = 4;
  bool compare = false;

  std::string text;  ///< a prompt, a text, or the path of one
  bool has_text = false;
  std::string system;
  bool think = false;

  bool decode = false;
  bool ids_only = false;
  bool tensors = false;
  std::string variant;
  std::string ids;
  std::string out;
  std::string quantize_to;
  bool no_check = false;
  std::size_t prompt_tokens = 512;
  std::size_t generate_tokens = 128;
  std::size_t depth = 0;
  std::size_t bench_context = 0;
  std::size_t repetitions = 5;
};

/// A model and all that it needs to run, in the order it must go away.
struct engine {
  std::string path;
  g4::text_spec spec;
  std::size_t weight_bytes = 0;  ///< in the file
  std::unique_ptr<g4::thread_pool> threads;
  std::unique_ptr<g4::backend::cpu> cpu;
  std::unique_ptr<g4::backend::reference<float>> reference;
  std::unique_ptr<g4::any_model> model;
  double load_seconds = 0;
};

/// Opens the model that the settings ask for, with progress on a terminal.
[[nodiscard]] g4::result<engine> open_engine(const settings& s,
                                             g4::backend::weights_move move = g4::backend::weights_move::in_use);

/// What --cache may say.
inline constexpr std::array<std::pair<const char*, g4::storage>, 3> cache_types{
    {{"f32", g4::storage::f32}, {"i16", g4::storage::i16}, {"q8_0", g4::storage::q8_0}}};

/// Threads to compute with: as many as were asked for, or as the machine has.
[[nodiscard]] std::size_t threads_of(const settings& s);

/// A session's options for so many tokens.
[[nodiscard]] g4::session_options options_of(const settings& s, std::size_t context, std::size_t best_logits = 0);

/// How many of the greatest logits to compute for choosing a token, by --head and what is chosen from; 0 is all.
[[nodiscard]] std::size_t deciding_logits(const settings& s);

/// The text given on the command line, or stdin.
[[nodiscard]] g4::result<std::string> text_or_stdin(const settings& s);

/// Draws a seed where chance is wanted and none was given.
[[nodiscard]] g4::sample::sampler_options sampling_of(const settings& s);

/// Runs all of `ids` but the last batch, so that a long prompt shows progress and can be interrupted.
/// False when it was interrupted.
[[nodiscard]] g4::result<bool> run_most(g4::any_session& session, std::span<const g4::token_id>& ids,
                                        status_line& status);

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

/// The commands. Each returns the exit status, or the sentence that says what was refused.
[[nodiscard]] g4::result<int> generate(const settings& s);
[[nodiscard]] g4::result<int> chat(const settings& s);
[[nodiscard]] g4::result<int> tokenize(const settings& s);
[[nodiscard]] g4::result<int> inspect(const settings& s);
[[nodiscard]] g4::result<int> perplexity(const settings& s);
[[nodiscard]] g4::result<int> logits(const settings& s);
[[nodiscard]] g4::result<int> bench(const settings& s);
[[nodiscard]] g4::result<int> quantize(const settings& s);

}  // namespace program
