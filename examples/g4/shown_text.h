// Tokens with pictures and sounds among them, and where each of these stands.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "g4/core/result.h"
#include "g4/generate/any_senses.h"
#include "g4/open/any_model.h"
#include "g4/text/chat.h"
#include "g4/text/tokenizer.h"
#include "program.h"

namespace program {

/// A prompt, or a conversation so far. It keeps what is shown in it.
struct shown_text {
  g4::laid_prompt<float> laid;
  std::vector<g4::any_shown> kept;

  [[nodiscard]] std::size_t size() const { return laid.ids.size(); }
  /// Becomes the tokens of `written`, with what is kept where its marks stand.
  ///
  /// senses   null where nothing is shown
  [[nodiscard]] g4::result<void> lay_out(const g4::text::prompt& written, const g4::text::tokenizer& vocabulary,
                                         const g4::any_senses* senses);
  void append(const shown_text& more);
  /// Forgets the tokens from `size` on; of a picture that is cut in two the whole, but not its places.
  void resize(std::size_t size);
  /// How many tokens both begin with, at most `most`: pictures alike count when they are the same, and whole.
  [[nodiscard]] std::size_t shared_with(const shown_text& other, std::size_t most) const;
  /// What stands from `first` on, which lies in no picture.
  [[nodiscard]] g4::laid_prompt<float> from(std::size_t first) const;
};

/// `count` of a prompt's tokens from `first` on, and what is shown whole among them.
[[nodiscard]] g4::laid_prompt<float> part_of(const g4::laid_prompt<float>& all, std::size_t first, std::size_t count);

/// How many of a prompt's first tokens to run in a pass of about `most`: no picture is cut in two.
[[nodiscard]] std::size_t whole_pass(const g4::laid_prompt<float>& prompt, std::size_t most);

/// Runs all of `left` but the last batch, so that a long prompt shows progress and can be interrupted.
/// False when it was interrupted.
[[nodiscard]] g4::result<bool> run_most(g4::any_session& session, g4::laid_prompt<float>& left, status_line& status);

/// A text somebody wrote, in pieces: what is said, and where <image>, <audio> and <video> say that something is shown.
/// Without such words all that is shown stands in front, in the order it was given.
///
///     "is <image> like <image>?"  with two pictures  →  "is ", a picture, " like ", a picture, "?"
///
/// Fails where there are more or fewer of either word than there are files for it.
[[nodiscard]] g4::result<std::vector<g4::text::content_part>> parts_of(std::string_view text,
                                                                       std::span<const g4::any_shown> media,
                                                                       std::vector<g4::any_shown>& in_order);

}  // namespace program
