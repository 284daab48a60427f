/// What a conversation is made of, before a model's own format: roles, contents, tools.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/text/tokenizer.h"
#include "g4/text/value.h"

namespace g4::text {

enum class role : std::uint8_t { system, developer, user, assistant, tool };

/// One piece of a content with media; `text` is empty for media.
struct content_part {
  enum class kind : std::uint8_t { text, image, audio, video };
  kind is = kind::text;
  std::string text{};
};

/// Nothing, plain text, or parts.
using content = std::variant<std::monostate, std::string, std::vector<content_part>>;

/// A call that the model asked for. `arguments` is an object, or a string that is passed on as it is.
struct tool_call {
  std::string name;
  value arguments{};
  std::optional<std::string> id{};
};

/// What a tool answered, kept with the message that asked (Gemma's own form).
struct tool_response {
  std::optional<std::string> name{};
  value response{};
};

struct message {
  role from = role::user;
  content said{};
  std::string reasoning{};                 ///< of an assistant that then calls tools
  std::vector<tool_call> calls{};          ///< of an assistant
  std::vector<tool_response> responses{};  ///< of an assistant; or use messages from `role::tool`
  std::optional<std::string> name{};       ///< of a tool's message: which tool
  std::optional<std::string> call_id{};    ///< of a tool's message: which call it answers
};

/// A tool the model may call. `parameters` is a JSON schema (an object), or null.
struct tool {
  std::string name;
  std::string description{};
  value parameters{};
  std::optional<value> response{};
};

/// A conversation as text for the model, with its markers written out, and which parts of it somebody said: there a
/// marker is only text. See encode_options::plain.
struct prompt {
  std::string text;
  std::vector<text_range> said;

  void markup(std::string_view s) { text += s; }
  void say(std::string_view s);
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/chat.inl"  // IWYU pragma: keep
#endif
