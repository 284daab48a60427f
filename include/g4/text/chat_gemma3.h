/// Chat turns of Gemma 3 and Gemma 3n.
///
///     <bos>  then per turn  <start_of_turn>ROLE\nTEXT<end_of_turn>\n  and, for an answer,  <start_of_turn>model\n
///
/// There is no system role: the system text stands before the first user text, with an empty line between.
/// Source: the chat_template of google/gemma-3-*-it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

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
/// without a word: media the model has no mark for, tools.
[[nodiscard]] inline result<prompt> gemma3_prompt(std::span<const message> messages, const gemma3_chat& options = {}) {
  if (messages.empty()) return fail("chat: there are no messages");
  prompt out;
  out.markup("<bos>");
  std::string system;
  if (messages[0].from == role::system) {
    if (const auto* text = std::get_if<std::string>(&messages[0].said)) {
      system = *text;
    } else if (const auto* parts = std::get_if<std::vector<content_part>>(&messages[0].said);
               parts != nullptr && !parts->empty() && parts->front().is == content_part::kind::text) {
      system = parts->front().text;
    } else {
      return fail("chat: the system message has no text");
    }
    system += "\n\n";
    messages = messages.subspan(1);
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const message& m = messages[i];
    if (m.from != role::user && m.from != role::assistant) {
      return fail("chat: message ", i, " after the system text is from a ",
                  m.from == role::tool     ? "tool"
                  : m.from == role::system ? "second system"
                                           : "developer",
                  "; Gemma 3 knows user and assistant");
    }
    if ((m.from == role::user) != (i % 2 == 0)) {
      return fail("chat: message ", i, " after the system text is from the ",
                  m.from == role::user ? "user" : "assistant",
                  "; Gemma 3 needs user and assistant in turn, user first");
    }
    if (!m.calls.empty() || !m.responses.empty())
      return fail("chat: message ", i, " calls tools; Gemma 3's turns have none");
    out.markup("<start_of_turn>");
    out.markup(m.from == role::user ? "user" : "model");
    out.markup("\n");
    if (i == 0) out.say(system);
    if (const auto* text = std::get_if<std::string>(&m.said)) {
      out.say(trimmed(*text));
    } else if (const auto* parts = std::get_if<std::vector<content_part>>(&m.said)) {
      for (const content_part& part : *parts) {
        switch (part.is) {
          case content_part::kind::text: out.say(trimmed(part.text)); break;
          case content_part::kind::image: out.markup(options.image_mark); break;
          case content_part::kind::audio:
            if (options.audio_mark.empty())
              return fail("chat: message ", i, " has audio, which this model does not hear");
            out.markup(options.audio_mark);
            break;
          case content_part::kind::video: return fail("chat: message ", i, " has video, which this model does not see");
        }
      }
    }
    out.markup("<end_of_turn>\n");
  }
  if (options.generation_prompt) out.markup("<start_of_turn>model\n");
  return out;
}

}  // namespace g4::text
