// What clients are told: the bodies of answers, in OpenAI's form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json_text.h"
#include "refusal.h"
#include "spoken.h"

namespace serve {

struct usage {
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;  ///< of the prompt: read before, for another text that begins alike
  std::size_t answer_tokens = 0;
};

/// What all that belongs to one answer begins with.
struct heading {
  bool chat = true;
  std::string id;
  std::int64_t created = 0;  ///< seconds since 1970
  std::string model;
};

/// An answer as a whole.
[[nodiscard]] std::string whole_answer(const heading& h, const std::vector<spoken>& said, std::string_view finish,
                                       const usage& took);

/// The same in events, each a line "data: …" and an empty one.
class events {
 public:
  explicit events(heading h) : h_(std::move(h)) {}
  /// Who speaks: before all else in a conversation, nothing in a text that is continued.
  [[nodiscard]] std::string opening() const;
  [[nodiscard]] std::string said(const std::vector<spoken>& pieces);
  [[nodiscard]] std::string finish(std::string_view why) const;
  [[nodiscard]] std::string took(const usage& all) const;
  [[nodiscard]] static std::string broke_off(const refusal& why);
  [[nodiscard]] static std::string end() { return "data: [DONE]\n\n"; }

 private:
  [[nodiscard]] std::string event(program::json choice) const;
  heading h_;
  std::size_t calls_ = 0;
};

[[nodiscard]] std::string error_body(const refusal& why);
[[nodiscard]] std::string embeddings_body(const std::string& model, const std::vector<std::vector<float>>& vectors,
                                          bool base64, std::size_t tokens);
[[nodiscard]] std::string models_body(const std::vector<std::string>& names, std::int64_t created);

}  // namespace serve
