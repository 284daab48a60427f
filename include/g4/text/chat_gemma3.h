/// Chat turns of Gemma 3 and Gemma 3n.
///
///     <bos>  then per turn  <start_of_turn>ROLE\nTEXT<end_of_turn>\n  and, for an answer,  <start_of_turn>model\n
///
/// There is no system role: the system text stands before the first user text, with an empty line between.
/// Source: the chat_template of google/gemma-3-*-it.
#pragma once

#include <span>
#include <string_view>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/text/chat.h"
#include "g4/text/utf8.h"

namespace g4::text {

struct gemma3_chat {
  bool generation_prompt = true;                     ///< end with the opening of the model's turn
  std::string_view image_mark = "<start_of_image>";  ///< where an image goes
  std::string_view audio_mark = {};                  ///< where a sound goes; empty where the model hears none
};

/// Gemma 3n marks media by their soft tokens.
inline constexpr gemma3_chat gemma3n_chat{.image_mark = "<image_soft_token>", .audio_mark = "<audio_soft_token>"};

/// Fails where the published template does: no messages, or user and assistant do not alternate; and on what it drops
/// without a word: a system text that no user's text follows or that has more parts than one, media the model has no
/// mark for, tools.
[[nodiscard]] G4_INLINE result<prompt> gemma3_prompt(std::span<const message> messages,
                                                     const gemma3_chat& options = {});

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/chat_gemma3.inl"  // IWYU pragma: keep
#endif
