// From what a client asks to what the scheduler does: prompts in the model's own format, ids, limits that depend on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "answers.h"
#include "g4/spec/text.h"
#include "g4/text/tokenizer.h"
#include "refusal.h"
#include "request.h"
#include "scheduler.h"

namespace serve {

/// What there is to ask.
struct menu {
  std::string text;      ///< what the model that answers is called; empty: there is none
  std::string embedder;  ///< and the one that embeds
  const g4::text_spec* spec = nullptr;
  const g4::text::tokenizer* vocabulary = nullptr;           ///< of the model that answers
  const g4::text::tokenizer* embedder_vocabulary = nullptr;
  std::size_t numbers = 0;      ///< of an embedding
  std::string picture_mark, sound_mark;  ///< where the model has such a sense
  std::string no_senses;        ///< why not, where it has none
  std::size_t context = 0;      ///< most tokens of a text
  std::size_t longest_input = 0;  ///< most tokens of a text to embed
  std::string task;             ///< what embedded texts are for; empty: they are taken as they are
};

/// An order, and how its answer is to be told.
struct prepared {
  order what;
  heading head;
  bool stream = false;
  bool stream_usage = false;
};

class service {
 public:
  explicit service(menu m) : menu_(std::move(m)) {}

  [[nodiscard]] granted<prepared> prepare(chat_request&& asked) const;
  [[nodiscard]] granted<prepared> prepare(completion_request&& asked) const;
  [[nodiscard]] granted<prepared> prepare(embedding_request&& asked) const;
  [[nodiscard]] std::vector<std::string> models() const;

 private:
  [[nodiscard]] granted<prepared> begin(const answer_options& how, bool chat) const;
  [[nodiscard]] granted<void> check_model(const std::string& asked, const std::string& there, const char* does) const;

  menu menu_;
};

/// The first numbers of a vector, of length 1 again: EmbeddingGemma was trained to mean something by 512, 256 and 128.
void shorten(std::vector<float>& vector, std::size_t numbers);

}  // namespace serve
