// What clients ask for: the bodies of requests, read with care. Nothing here knows of HTTP or of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "g4/sample/sampler.h"
#include "g4/text/chat.h"
#include "refusal.h"

namespace serve {

/// The most that a request may have. What lies beyond is refused with the number that it may be.
struct limits {
  std::size_t body = std::size_t{16} << 20;  ///< bytes, pictures and sounds included
  std::size_t messages = 2048;
  std::size_t parts = 4096;    ///< of all contents together
  std::size_t media = 16;      ///< pictures and sounds
  std::size_t tools = 128;
  std::size_t stops = 16;      ///< and each at most so long:
  std::size_t stop_bytes = 256;
  std::size_t tokens = 1u << 20;  ///< of an answer
  std::size_t inputs = 256;    ///< texts to embed
};

/// What a request that does not say otherwise gets.
struct defaults {
  g4::sample::sampler_options sampling{};
};

/// What every request for a text says.
struct answer_options {
  std::string model;  ///< empty: whichever there is
  g4::sample::sampler_options sampling{};
  std::optional<std::uint64_t> seed{};
  std::optional<std::size_t> max_tokens{};  ///< as many as there is room for where nothing is said
  std::vector<std::string> stops{};
  bool ignore_end = false;  ///< go on where the model would end: to measure
  bool stream = false;
  bool stream_usage = false;  ///< a last event says what the answer took
};

/// A picture or a sound as it came: a whole file.
struct medium_file {
  bool is_picture = true;
  std::string field;  ///< "messages[0].content[1].image_url.url"
  std::string bytes;
};

struct chat_request {
  answer_options how;
  std::vector<g4::text::message> messages;
  std::vector<medium_file> media;  ///< in the order of the contents
  std::vector<g4::text::tool> tools;
  bool thinking = false;
};

struct completion_request {
  answer_options how;
  std::string prompt;
};

struct embedding_request {
  std::string model;
  std::vector<std::string> inputs;
  std::optional<std::size_t> dimensions;
  bool base64 = false;
};

/// Fail where the body is no JSON, a field is wrong or too large, or it says something that this server does not do and
/// that would change the answer. Of fields that change nothing a few are known, and passed over; any other is refused by
/// its name, as it may be one that is misspelt.
[[nodiscard]] granted<chat_request> read_chat(std::string_view body, const limits& most, const defaults& otherwise);
[[nodiscard]] granted<completion_request> read_completion(std::string_view body, const limits& most,
                                                          const defaults& otherwise);
[[nodiscard]] granted<embedding_request> read_embedding(std::string_view body, const limits& most);

}  // namespace serve
