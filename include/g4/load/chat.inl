/// chat.h, defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/load/chat.h"

namespace g4::load {

G4_INLINE text::value value_from_json(const io::json& json) {
  if (const auto* b = json.as<bool>()) return text::value(*b);
  if (const auto* s = json.as<std::string>()) return text::value(*s);
  if (const auto* n = json.as<std::int64_t>()) return text::value(*n);
  if (const auto* n = json.as<std::uint64_t>()) {
    const bool fits = *n <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return fits ? text::value(static_cast<std::int64_t>(*n)) : text::value(static_cast<double>(*n));
  }
  if (const auto* d = json.as<double>()) return text::value(*d);
  if (json.is_array()) {
    text::value::list list;
    for (const io::json& element : json) list.push_back(value_from_json(element));
    return text::value(std::move(list));
  }
  if (json.is_object()) {
    text::value::object object;
    for (const auto& [key, member] : json.members()) object.emplace_back(key, value_from_json(member));
    return text::value(std::move(object));
  }
  return {};
}

namespace detail {

[[nodiscard]] inline const io::json* chat_member(const io::json& object, const char* key) {
  const io::json* found = object.find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

[[nodiscard]] inline std::optional<std::string> chat_string(const io::json& object, const char* key) {
  const io::json* found = chat_member(object, key);
  const auto* s = found == nullptr ? nullptr : found->as<std::string>();
  return s == nullptr ? std::nullopt : std::optional<std::string>(*s);
}

[[nodiscard]] inline result<text::content> content_from_json(const io::json& message, std::size_t i) {
  const io::json* json = chat_member(message, "content");
  if (json == nullptr) return text::content{};
  if (const auto* s = json->as<std::string>()) return text::content(*s);
  if (!json->is_array()) return fail("chat: the content of message ", i, " is neither a text nor a list of parts");
  std::vector<text::content_part> parts;
  for (const io::json& part : *json) {
    const std::string type = chat_string(part, "type").value_or("");
    using kind = text::content_part::kind;
    if (type == "text") {
      parts.push_back({kind::text, chat_string(part, "text").value_or("")});
    } else if (type == "image") {
      parts.push_back({kind::image, {}});
    } else if (type == "audio") {
      parts.push_back({kind::audio, {}});
    } else if (type == "video") {
      parts.push_back({kind::video, {}});
    } else {
      return fail("chat: message ", i, " has a part of type '", type, "'; expected text, image, audio or video");
    }
  }
  return text::content(std::move(parts));
}

[[nodiscard]] inline result<text::role> role_from_json(const io::json& message, std::size_t i) {
  const std::string role = chat_string(message, "role").value_or("");
  if (role == "user") return text::role::user;
  if (role == "assistant" || role == "model") return text::role::assistant;
  if (role == "system") return text::role::system;
  if (role == "developer") return text::role::developer;
  if (role == "tool") return text::role::tool;
  return fail("chat: message ", i, " has the role '", role, "'; expected system, developer, user, assistant or tool");
}

/// `{"function": {…}}` → the inner object; the object itself where it is not wrapped.
[[nodiscard]] inline const io::json& function_of(const io::json& json) {
  const io::json* inner = chat_member(json, "function");
  return inner != nullptr && inner->is_object() ? *inner : json;
}

}  // namespace detail

namespace detail {

[[nodiscard]] inline result<std::vector<text::message>> messages_of(const io::json& list) {
  if (!list.is_array()) return fail("chat: the messages are not a list");
  std::vector<text::message> messages;
  for (const io::json& json : list) {
    const std::size_t i = messages.size();
    text::message m;
    auto role = role_from_json(json, i);
    if (!role) return unexpected(std::move(role.error()));
    m.from = *role;
    auto content = content_from_json(json, i);
    if (!content) return unexpected(std::move(content.error()));
    m.said = std::move(*content);
    m.reasoning = chat_string(json, "reasoning").value_or("");
    if (m.reasoning.empty()) m.reasoning = chat_string(json, "reasoning_content").value_or("");
    m.name = chat_string(json, "name");
    m.call_id = chat_string(json, "tool_call_id");
    if (const io::json* calls = chat_member(json, "tool_calls")) {
      if (!calls->is_array()) return fail("chat: the tool_calls of message ", i, " are not a list");
      for (const io::json& call : *calls) {
        const io::json& function = function_of(call);
        const io::json* arguments = chat_member(function, "arguments");
        m.calls.push_back({chat_string(function, "name").value_or(""),
                           arguments == nullptr ? text::value{} : value_from_json(*arguments),
                           chat_string(call, "id")});
      }
    }
    if (const io::json* responses = chat_member(json, "tool_responses")) {
      if (!responses->is_array()) return fail("chat: the tool_responses of message ", i, " are not a list");
      for (const io::json& response : *responses) {
        const io::json* answer = chat_member(response, "response");
        m.responses.push_back(
            {chat_string(response, "name"), answer == nullptr ? text::value{} : value_from_json(*answer)});
      }
    }
    messages.push_back(std::move(m));
  }
  return messages;
}

[[nodiscard]] inline result<std::vector<text::tool>> tools_of(const io::json& list) {
  if (!list.is_array()) return fail("chat: the tools are not a list");
  std::vector<text::tool> tools;
  for (const io::json& json : list) {
    const io::json& function = function_of(json);
    const auto name = chat_string(function, "name");
    if (!name) return fail("chat: tool ", tools.size(), " has no name");
    text::tool t;
    t.name = *name;
    t.description = chat_string(function, "description").value_or("");
    if (const io::json* parameters = chat_member(function, "parameters"))
      t.parameters = value_from_json(*parameters);
    if (const io::json* response = chat_member(function, "response")) t.response = value_from_json(*response);
    tools.push_back(std::move(t));
  }
  return tools;
}

}  // namespace detail

G4_INLINE result<std::vector<text::message>> messages_from_json(const io::json& list) {
  return guarded([&] { return detail::messages_of(list); });
}

G4_INLINE result<std::vector<text::tool>> tools_from_json(const io::json& list) {
  return guarded([&] { return detail::tools_of(list); });
}

}  // namespace g4::load
