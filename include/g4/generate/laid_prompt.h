/// A prompt with pictures and sounds in it, and how it is run and continued.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "g4/core/result.h"
#include "g4/generate/generate.h"
#include "g4/model/text/inlay.h"
#include "g4/text/tokenizer.h"

namespace g4 {

/// Tokens, and the rows that are laid into them: what a session runs.
template <class Scalar>
struct laid_prompt {
  std::vector<token_id> ids;
  std::vector<inlay<Scalar>> inlays;

  [[nodiscard]] prompt_view<Scalar> view() const { return {ids, inlays}; }
};

/// Told of each stage of a tower when it is done: "features" of what the host does in front of it, then the stages that a
/// tap shows, layers by their number. Null: nobody wants to know.
struct stage_listener {
  void* self = nullptr;
  void (*passed)(void* self, const char* stage, int layer) = nullptr;
};

/// How a picture is looked at.
struct see_options {
  std::size_t soft_tokens = 0;  ///< rows it may take at most: 70, 140, 280, 560 or 1120; 0 is the model's own choice
  std::size_t pieces = 0;  ///< pan and scan: a long picture is looked at in at most so many pieces as well; Gemma 3
  stage_listener stages = {};
};

namespace detail {

/// A session as `generate` takes it, whose prompt has rows laid in: what is run first is that, and not its ids alone.
template <class Session>
class session_of_laid_prompt {
 public:
  using scalar = typename Session::scalar;

  session_of_laid_prompt(Session& session, const laid_prompt<scalar>& prompt) : session_(session), prompt_(prompt) {}
  auto run(std::span<const token_id>) { return session_.run(prompt_.view()); }
  auto run(token_id id) { return session_.run(id); }
  template <class See>
  auto run_ahead(token_id id, std::size_t most, See&& see) requires requires(Session& s) { s.run_ahead(id, most, see); } {
    return session_.run_ahead(id, most, see);
  }
  [[nodiscard]] std::size_t size() const { return session_.size(); }
  [[nodiscard]] const auto& options() const { return session_.options(); }
  [[nodiscard]] std::size_t vocabulary() const { return session_.vocabulary(); }

 private:
  Session& session_;
  const laid_prompt<scalar>& prompt_;
};

}  // namespace detail

/// Runs a prompt with pictures and sounds, and continues it: as `generate` does for a prompt of text.
template <class Session, class OnText>
[[nodiscard]] result<generated> generate(Session& session, const text::tokenizer& vocabulary,
                                         const laid_prompt<typename Session::scalar>& prompt,
                                         const generate_options& options, OnText&& on_text) {
  detail::session_of_laid_prompt<Session> laid(session, prompt);
  return generate(laid, vocabulary, std::span<const token_id>(prompt.ids), options, on_text);
}

}  // namespace g4
