/// chat_gemma3.h, defined.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/text/chat_gemma3.h"

namespace g4::text {

namespace detail {

[[nodiscard]] inline result<prompt> gemma3_turns(std::span<const message> messages, const gemma3_chat& options) {
  if (messages.empty()) return fail("chat: there are no messages");
  prompt out;
  out.markup("<bos>");
  std::string system;
  if (messages[0].from == role::system) {
    if (const auto* text = std::get_if<std::string>(&messages[0].said)) {
      system = *text;
    } else if (const auto* parts = std::get_if<std::vector<content_part>>(&messages[0].said);
               parts != nullptr && parts->size() == 1 && parts->front().is == content_part::kind::text) {
      system = parts->front().text;
    } else {
      return fail("chat: the system message is not one text");
    }
    system += "\n\n";
    messages = messages.subspan(1);
    if (messages.empty()) {
      return fail("chat: the system text stands alone; Gemma 3 reads it in front of the first user's text");
    }
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

}  // namespace detail

G4_INLINE result<prompt> gemma3_prompt(std::span<const message> messages, const gemma3_chat& options) {
  return guarded([&] { return detail::gemma3_turns(messages, options); });
}

}  // namespace g4::text
