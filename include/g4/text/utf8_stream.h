/// Ids → text as it is generated: whole characters only, as soon as they are whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "g4/core/compiled.h"
#include "g4/text/tokenizer.h"
#include "g4/text/utf8.h"

namespace g4::text {

/// Feed it ids, show what it returns: always well-formed UTF-8. A byte token is held back until its character is
/// complete; a byte that completes none becomes U+FFFD, one per byte. (Hugging Face's decoder turns every byte of a run
/// with a broken end into U+FFFD; a stream has shown the whole characters by then.)
///
/// Allocates on construction only. The tokenizer must outlive it.
class utf8_stream {
 public:
  /// `show_control`: control tokens appear as their names; otherwise they are nothing.
  explicit utf8_stream(const tokenizer& tokens, bool show_control = false);

  /// The text that `id` completes, valid until the next call; empty while a character is incomplete. An id without a
  /// piece is nothing (models have rows beyond their vocabulary).
  [[nodiscard]] std::string_view push(token_id id);

  /// What is still held back, as U+FFFD, when no more ids come; the stream can then be used anew.
  [[nodiscard]] std::string_view finish();

 private:
  static constexpr std::size_t held_limit = 4;

  void take(char byte);

  void give_up();

  const tokenizer* tokens_;
  bool show_control_;
  char held_[held_limit] = {};
  std::size_t held_size_ = 0;
  std::string bytes_;
  std::string shown_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/utf8_stream.inl"  // IWYU pragma: keep
#endif
