/// Chat turns of Gemma 4, with thinking, tools and media.
///
///     <bos>  then per turn  <|turn>ROLE\nTEXT<turn|>\n  and, for an answer,  <|turn>model\n
///
/// Source: the chat_template of google/gemma-4-31B-it. Lists are sorted and numbers printed as that template's Python
/// does it; letters outside ASCII keep their case and sort by code point.
#pragma once

#include <span>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/text/chat.h"
#include "g4/text/utf8.h"
#include "g4/text/value.h"

namespace g4::text {

struct gemma4_chat {
  bool generation_prompt = true;  ///< end with the opening of the model's turn
  bool thinking = false;          ///< the model thinks before it answers
  bool empty_thought = true;  ///< without thinking, open the answer with an empty thought, as the large models want it
  std::span<const tool> tools = {};
};

/// Fails where the published template does: no messages, a system message without text, a tool's message that names no
/// tool. Messages from tools that follow no call are left out, as there.
[[nodiscard]] G4_INLINE result<prompt> gemma4_prompt(std::span<const message> messages,
                                                     const gemma4_chat& options = {});

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/chat_gemma4.inl"  // IWYU pragma: keep
#endif
