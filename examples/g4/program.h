// The program's settings and commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "g4/core/result.h"
#include "g4/sample/sampler.h"

namespace program {

/// A file that is to be shown to a model.
struct medium {
  enum kind { picture, sound, video };
  kind is = picture;
  std::string path;
};

/// Everything that can be said on the command line.
struct settings {
  std::string model;
  std::string backend = "cpu";
  std::string mode = "fast";
  std::size_t threads = 0;  ///< 0: as many as the machine has
  std::size_t context = 0;  ///< 0: as much as the command needs
  std::size_t batch = 256;
  std::string head = "auto";  ///< ranked: compute the logits that decide; whole: all; auto: ranked for greedy choice, where it is faster
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

  std::vector<medium> media;  ///< in the order they were given
  std::string mmproj;         ///< the file with the towers; empty: the one beside the model's
  std::size_t image_tokens = 0;
  std::size_t image_pieces = 0;
  float video_rate = 24;  ///< pictures of a folder a second
  bool turn = false;

  std::string text;  ///< a prompt, a text, or the path of one
  bool has_text = false;
  std::string system;
  bool think = false;

  bool decode = false;
  bool ids_only = false;
  bool tensors = false;
  std::string variant;
  std::size_t ranks = 0;  ///< to show a model shared out among; 0: it is not
  bool divided_sums = false;
  bool cuts = false;                   ///< to say where a pipeline can cut it
  std::vector<std::size_t> pipeline;  ///< the layers that a pipeline is cut before
  bool even_pipeline = false;          ///< to run as one that is cut as evenly as can be
  [[nodiscard]] bool in_stages() const { return even_pipeline || !pipeline.empty(); }
  std::string ids;
  std::string out;
  std::string quantize_to;
  std::string towers_to;  ///< what the matrices of towers become; empty: they stay as they are
  bool no_towers = false;
  bool no_check = false;
  std::size_t prompt_tokens = 512;
  std::size_t generate_tokens = 128;
  std::size_t depth = 0;
  std::size_t bench_context = 0;
  std::size_t repetitions = 5;
  bool verbose = false;
  std::vector<std::size_t> texts_at_once;  ///< of a batch, each measured

  std::string task;  ///< what embedded texts are for; empty: they are taken as they are
  std::size_t numbers = 0;
  bool raw_floats = false;
  std::vector<std::string> texts;
  std::string file;  ///< a text on each line; empty: stdin

  std::string host = "127.0.0.1";
  std::size_t port = 8080;
  std::string name;      ///< what clients call the model; empty: as its file is
  std::string embedder;  ///< a model that embeds, beside the one that answers
  std::string token_file;
  std::size_t places = 8;  ///< texts that are answered at once
  std::size_t queue = 64;
  std::size_t prefixes = 4;
  std::size_t guesses_of_each = 0;
  std::size_t connections = 128;
  std::size_t body_limit = 16;    ///< MiB
  std::size_t answer_limit = 0;   ///< tokens; 0: as many as there is room for
  std::size_t grace = 5;          ///< seconds
};

/// What --cache may say.
inline constexpr const char* cache_types[] = {"f32", "f16", "i16", "q8_0"};

/// Threads to compute with: as many as were asked for, or as the machine has.
[[nodiscard]] std::size_t threads_of(const settings& s);

/// The text given on the command line, or stdin.
[[nodiscard]] g4::result<std::string> text_or_stdin(const settings& s);

/// Draws a seed where chance is wanted and none was given.
[[nodiscard]] g4::sample::sampler_options sampling_of(const settings& s);

/// The commands. Each returns the exit status, or the sentence that says what was refused.
[[nodiscard]] g4::result<int> generate(const settings& s);
[[nodiscard]] g4::result<int> chat(const settings& s);
[[nodiscard]] g4::result<int> tokenize(const settings& s);
[[nodiscard]] g4::result<int> inspect(const settings& s);
[[nodiscard]] g4::result<int> perplexity(const settings& s);
[[nodiscard]] g4::result<int> logits(const settings& s);
[[nodiscard]] g4::result<int> bench(const settings& s);
[[nodiscard]] g4::result<int> embed(const settings& s);
[[nodiscard]] g4::result<int> quantize(const settings& s);
[[nodiscard]] g4::result<int> serve(const settings& s);  ///< in examples/serve, or no_serve.cc

}  // namespace program
