/// Ids → text as it is generated: whole characters only, as soon as they are whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

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
  explicit utf8_stream(const tokenizer& tokens, bool show_control = false)
      : tokens_(&tokens), show_control_(show_control) {
    bytes_.reserve(tokens.longest_piece());
    // A held-back byte may turn into three; everything else keeps its length, unless the vocabulary itself is broken.
    shown_.reserve(3 * (tokens.longest_piece() + held_limit));
  }

  /// The text that `id` completes, valid until the next call; empty while a character is incomplete. An id without a
  /// piece is nothing (models have rows beyond their vocabulary).
  [[nodiscard]] std::string_view push(token id) {
    bytes_.clear();
    shown_.clear();
    if (!tokens_->in_range(id)) return {};
    tokens_->append_bytes(id, show_control_, bytes_);
    // Only neighbouring bytes make a character.
    if (tokens_->kind(id) != piece_kind::byte && !bytes_.empty()) give_up();
    for (const char byte : bytes_) take(byte);
    return shown_;
  }

  /// What is still held back, as U+FFFD, when no more ids come; the stream can then be used anew.
  [[nodiscard]] std::string_view finish() {
    shown_.clear();
    give_up();
    return shown_;
  }

 private:
  static constexpr std::size_t held_limit = 4;

  void take(char byte) {
    held_[held_size_++] = byte;
    while (held_size_ > 0) {
      const std::string_view held(held_, held_size_);
      const utf8_state state = utf8_check(held);
      if (state == utf8_state::incomplete) return;
      if (state == utf8_state::complete) {
        shown_.append(held);
        held_size_ = 0;
        return;
      }
      // The first byte starts nothing; the others may.
      shown_.append(replacement_character);
      for (std::size_t i = 1; i < held_size_; ++i) held_[i - 1] = held_[i];
      --held_size_;
    }
  }

  void give_up() {
    for (; held_size_ > 0; --held_size_) shown_.append(replacement_character);
  }

  const tokenizer* tokens_;
  bool show_control_;
  char held_[held_limit] = {};
  std::size_t held_size_ = 0;
  std::string bytes_;
  std::string shown_;
};

}  // namespace g4::text
