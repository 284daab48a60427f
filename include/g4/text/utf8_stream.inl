/// utf8_stream.h, defined.
#pragma once

#include <cstddef>
#include <string_view>

#include "g4/text/utf8_stream.h"

namespace g4::text {

G4_INLINE utf8_stream::utf8_stream(const tokenizer& tokens, bool show_control)
    : tokens_(&tokens), show_control_(show_control) {
  bytes_.reserve(tokens.longest_piece());
  // A held-back byte may turn into three; everything else keeps its length, unless the vocabulary itself is broken.
  shown_.reserve(3 * (tokens.longest_piece() + held_limit));
}

G4_INLINE std::string_view utf8_stream::push(token_id id) {
  bytes_.clear();
  shown_.clear();
  if (!tokens_->in_range(id)) return {};
  tokens_->append_bytes(id, show_control_, bytes_);
  // Only neighbouring bytes make a character.
  if (tokens_->kind(id) != piece_kind::byte && !bytes_.empty()) give_up();
  for (const char byte : bytes_) take(byte);
  return shown_;
}

G4_INLINE std::string_view utf8_stream::finish() {
  shown_.clear();
  give_up();
  return shown_;
}

G4_INLINE void utf8_stream::take(char byte) {
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

G4_INLINE void utf8_stream::give_up() {
  for (; held_size_ > 0; --held_size_) shown_.append(replacement_character);
}

}  // namespace g4::text
