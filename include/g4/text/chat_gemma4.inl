/// chat_gemma4.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/text/chat_gemma4.h"

namespace g4::text {

namespace detail {

inline constexpr std::string_view gemma4_quote = "<|\"|>";

/// Deeper schemas and arguments are refused: writing them down calls itself once per level.
inline constexpr std::size_t max_value_depth = 64;

[[nodiscard]] constexpr char ascii_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

[[nodiscard]] constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

[[nodiscard]] inline std::string upper(const value* v) {
  std::string text;
  if (v != nullptr) append_python(*v, text);
  for (char& c : text) c = ascii_upper(c);
  return text;
}

[[nodiscard]] inline bool deeper_than(const value& v, std::size_t levels) {
  if (levels == 0) return true;
  if (const auto* list = v.as<value::list>()) {
    return std::any_of(list->begin(), list->end(), [=](const value& e) { return deeper_than(e, levels - 1); });
  }
  if (const auto* object = v.as<value::object>()) {
    return std::any_of(object->begin(), object->end(),
                       [=](const auto& m) { return deeper_than(m.second, levels - 1); });
  }
  return false;
}

/// Writes one prompt; the names of the functions are those of the template's macros.
class gemma4_writer {
 public:
  prompt out;

  void format_function_declaration(const tool& t) {
    out.markup("declaration:");
    out.say(t.name);
    out.markup("{description:");
    quote(t.description);
    if (is_true(&t.parameters)) {
      out.markup(",parameters:{");
      if (const value* properties = t.parameters.find("properties"); is_true(properties)) {
        out.markup("properties:{");
        format_parameters(*properties);
        out.markup("},");
      }
      if (const value* required = t.parameters.find("required"); is_true(required)) {
        format_names("required:", *required);
        out.markup(",");
      }
      if (const value* type = t.parameters.find("type"); is_true(type)) {
        out.markup("type:");
        quote(upper(type));
        out.markup("}");
      }
    }
    if (t.response) {
      out.markup(",response:{");
      if (const value* description = t.response->find("description"); is_true(description)) {
        out.markup("description:");
        quote(python(*description));
        out.markup(",");
      }
      if (const std::string type = upper(t.response->find("type")); type == "OBJECT") {
        out.markup("type:");
        quote(type);
        out.markup("}");
      }
    }
    out.markup("}");
  }

  void format_argument(const value& v, bool quote_keys) {
    if (const auto* s = v.as<std::string>()) {
      quote(*s);
    } else if (const auto* b = v.as<bool>()) {
      out.markup(*b ? "true" : "false");
    } else if (const auto* object = v.as<value::object>()) {
      out.markup("{");
      bool first = true;
      for (const auto* member : sorted(*object)) {
        if (!first) out.markup(",");
        first = false;
        if (quote_keys) {
          quote(member->first);
        } else {
          out.say(member->first);
        }
        out.markup(":");
        format_argument(member->second, quote_keys);
      }
      out.markup("}");
    } else if (const auto* list = v.as<value::list>()) {
      out.markup("[");
      for (std::size_t i = 0; i < list->size(); ++i) {
        if (i > 0) out.markup(",");
        format_argument((*list)[i], quote_keys);
      }
      out.markup("]");
    } else {
      out.say(python(v));
    }
  }

  void format_members(const value::object& object) {
    bool first = true;
    for (const auto* member : sorted(object)) {
      if (!first) out.markup(",");
      first = false;
      out.say(member->first);
      out.markup(":");
      format_argument(member->second, false);
    }
  }

  void format_tool_response_block(std::string_view name, const value& response) {
    out.markup("<|tool_response>response:");
    out.say(name);
    out.markup("{");
    if (const auto* object = response.as<value::object>()) {
      format_members(*object);
    } else {
      out.markup("value:");
      format_argument(response, false);
    }
    out.markup("}<tool_response|>");
  }

  /// What the model said without its thoughts: whatever stands between <|channel> and <channel|>.
  void strip_thinking(std::string_view said) {
    std::string kept;
    for (;;) {
      const std::size_t close = said.find("<channel|>");
      const std::string_view part = said.substr(0, close);
      kept += part.substr(0, part.find("<|channel>"));
      if (close == std::string_view::npos) break;
      said.remove_prefix(close + std::string_view("<channel|>").size());
    }
    out.say(trimmed(kept));
  }

 private:
  using pair = value::object::value_type;

  [[nodiscard]] static std::string python(const value& v) {
    std::string text;
    append_python(v, text);
    return text;
  }

  void quote(std::string_view s) {
    out.markup(gemma4_quote);
    out.say(s);
    out.markup(gemma4_quote);
  }

  /// Members by name, letters compared without case; equal names keep their order.
  [[nodiscard]] static std::vector<const pair*> sorted(const value::object& object) {
    std::vector<const pair*> members;
    members.reserve(object.size());
    for (const pair& m : object) members.push_back(&m);
    std::stable_sort(members.begin(), members.end(), [](const pair* a, const pair* b) {
      return std::lexicographical_compare(
          a->first.begin(), a->first.end(), b->first.begin(), b->first.end(), [](char x, char y) {
            return static_cast<unsigned char>(ascii_lower(x)) < static_cast<unsigned char>(ascii_lower(y));
          });
    });
    return members;
  }

  void format_names(std::string_view label, const value& names) {
    out.markup(label);
    out.markup("[");
    if (const auto* list = names.as<value::list>()) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        if (i > 0) out.markup(",");
        quote(python((*list)[i]));
      }
    }
    out.markup("]");
  }

  void format_parameters(const value& properties) {
    const auto* object = properties.as<value::object>();
    if (object == nullptr) return;
    bool first = true;
    for (const auto* property : sorted(*object)) {
      const std::string& key = property->first;
      const value& v = property->second;
      // A parameter that is called like a word of the schema is not shown; the template does the same.
      if (key == "description" || key == "type" || key == "properties" || key == "required" || key == "nullable")
        continue;
      if (!first) out.markup(",");
      first = false;
      out.say(key);
      out.markup(":{");
      bool comma = false;
      const auto separate = [&] {
        if (comma) out.markup(",");
        comma = true;
      };
      if (const value* description = v.find("description"); is_true(description)) {
        separate();
        out.markup("description:");
        quote(python(*description));
      }
      const std::string type = upper(v.find("type"));
      if (type == "STRING") {
        if (const value* choices = v.find("enum"); is_true(choices)) {
          separate();
          out.markup("enum:");
          format_argument(*choices, true);
        }
      } else if (type == "ARRAY") {
        const value* items = v.find("items");
        if (is_true(items) && items->as<value::object>() != nullptr) {
          separate();
          format_items(*items->as<value::object>());
        }
      }
      if (is_true(v.find("nullable"))) {
        separate();
        out.markup("nullable:true");
      }
      if (type == "OBJECT") {
        const value* inner = v.find("properties");
        separate();
        out.markup("properties:{");
        format_parameters(inner != nullptr && inner->as<value::object>() != nullptr ? *inner : v);
        out.markup("}");
        if (const value* required = v.find("required"); is_true(required)) {
          separate();
          format_names("required:", *required);
        }
      }
      separate();
      out.markup("type:");
      quote(type);
      out.markup("}");
    }
  }

  void format_items(const value::object& items) {
    out.markup("items:{");
    bool first = true;
    for (const auto* item : sorted(items)) {
      const auto& [key, v] = *item;
      if (v.as<std::monostate>() != nullptr) continue;
      if (!first) out.markup(",");
      first = false;
      if (key == "properties") {
        out.markup("properties:{");
        format_parameters(v);
        out.markup("}");
      } else if (key == "required") {
        format_names("required:", v);
      } else if (key == "type") {
        out.markup("type:");
        if (const auto* list = v.as<value::list>()) {
          value::list types;
          for (const value& t : *list) types.emplace_back(upper(&t));
          format_argument(value(std::move(types)), true);
        } else {
          format_argument(value(upper(&v)), true);
        }
      } else {
        out.say(key);
        out.markup(":");
        format_argument(v, true);
      }
    }
    out.markup("}");
  }
};

[[nodiscard]] inline bool is_empty(const content& c) {
  if (const auto* text = std::get_if<std::string>(&c)) return text->empty();
  if (const auto* parts = std::get_if<std::vector<content_part>>(&c)) return parts->empty();
  return true;
}

[[nodiscard]] constexpr std::string_view gemma4_name(role r) {
  switch (r) {
    case role::system: return "system";
    case role::developer: return "developer";
    case role::user: return "user";
    case role::assistant: return "model";
    case role::tool: break;
  }
  return "tool";
}

/// The name of the tool that `answer` answers: by the id of the call, else by its own name.
[[nodiscard]] inline std::optional<std::string> answered_tool(const message& asked, const message& answer) {
  std::optional<std::string> name = answer.name;
  for (const tool_call& call : asked.calls) {
    if (call.id == answer.call_id) name = call.name;
  }
  return name;
}

/// The text of a tool's message: parts are joined, nothing is null.
[[nodiscard]] inline value answer_of(const message& answer) {
  if (const auto* text = std::get_if<std::string>(&answer.said)) return value(*text);
  const auto* parts = std::get_if<std::vector<content_part>>(&answer.said);
  if (parts == nullptr) return {};
  std::string joined;
  for (const content_part& part : *parts) {
    if (part.is == content_part::kind::text) joined += part.text;
  }
  return value(std::move(joined));
}

[[nodiscard]] inline result<void> check_depth(std::span<const message> messages, std::span<const tool> tools) {
  const auto too_deep = [](const value& v) { return deeper_than(v, max_value_depth); };
  for (const tool& t : tools) {
    if (too_deep(t.parameters) || (t.response && too_deep(*t.response))) {
      return fail("chat: the tool ", t.name, " is nested more than ", max_value_depth, " deep");
    }
  }
  for (const message& m : messages) {
    for (const tool_call& c : m.calls) {
      if (too_deep(c.arguments))
        return fail("chat: a call of ", c.name, " is nested more than ", max_value_depth, " deep");
    }
    for (const tool_response& r : m.responses) {
      if (too_deep(r.response)) return fail("chat: a tool's response is nested more than ", max_value_depth, " deep");
    }
  }
  return {};
}

}  // namespace detail

namespace detail {

[[nodiscard]] inline result<prompt> gemma4_turns(std::span<const message> messages, const gemma4_chat& options) {
  if (messages.empty()) return fail("chat: there are no messages");
  if (auto shallow = detail::check_depth(messages, options.tools); !shallow) return unexpected(shallow.error());
  detail::gemma4_writer w;
  prompt& out = w.out;
  out.markup("<bos>");

  const bool has_system = messages[0].from == role::system || messages[0].from == role::developer;
  if (options.thinking || !options.tools.empty() || has_system) {
    out.markup("<|turn>system\n");
    if (options.thinking) out.markup("<|think|>\n");
    if (has_system) {
      const auto* text = std::get_if<std::string>(&messages[0].said);
      if (text == nullptr) return fail("chat: the system message is not plain text");
      out.say(trimmed(*text));
      messages = messages.subspan(1);
    }
    for (const tool& t : options.tools) {
      out.markup("<|tool>");
      w.format_function_declaration(t);
      out.markup("<tool|>");
    }
    out.markup("<turn|>\n");
  }

  // Reasoning is shown only while the model still works on the last question.
  std::size_t after_last_user = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].from == role::user) after_last_user = i + 1;
  }

  // What the last message ended with decides whether a turn is left open.
  enum class last { other, call, response };
  last ended_with = last::other;
  const message* previous = nullptr;  // the last message that was not a tool's
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const message& m = messages[i];
    if (m.from == role::tool) continue;
    ended_with = last::other;
    const bool model = m.from == role::assistant;
    if (!(model && previous != nullptr && previous->from == role::assistant)) {
      out.markup("<|turn>");
      out.markup(detail::gemma4_name(m.from));
      out.markup("\n");
    }
    previous = &m;
    if (!m.reasoning.empty() && i >= after_last_user && !m.calls.empty()) {
      out.markup("<|channel>thought\n");
      out.say(m.reasoning);
      out.markup("\n<channel|>");
    }
    for (const tool_call& call : m.calls) {
      out.markup("<|tool_call>call:");
      out.say(call.name);
      out.markup("{");
      if (const auto* object = call.arguments.as<value::object>()) {
        w.format_members(*object);
      } else if (const auto* text = call.arguments.as<std::string>()) {
        out.say(*text);
      }
      out.markup("}<tool_call|>");
      ended_with = last::call;
    }
    bool responded = false;
    for (const tool_response& r : m.responses) {
      w.format_tool_response_block(r.name ? std::string_view(*r.name) : "unknown", r.response);
      responded = true;
      ended_with = last::response;
    }
    if (m.responses.empty() && !m.calls.empty()) {
      for (std::size_t k = i + 1; k < messages.size() && messages[k].from == role::tool; ++k) {
        const auto name = detail::answered_tool(m, messages[k]);
        if (!name)
          return fail("chat: message ", k, " comes from a tool but has neither its name nor the id of its call");
        w.format_tool_response_block(*name, detail::answer_of(messages[k]));
        responded = true;
        ended_with = last::response;
      }
    }
    const auto say = [&](std::string_view text) {
      if (model) {
        w.strip_thinking(text);
      } else {
        out.say(trimmed(text));
      }
    };
    if (const auto* text = std::get_if<std::string>(&m.said)) {
      say(*text);
    } else if (const auto* parts = std::get_if<std::vector<content_part>>(&m.said)) {
      for (const content_part& part : *parts) {
        if (part.is == content_part::kind::text) {
          say(part.text);
          continue;
        }
        out.markup(part.is == content_part::kind::image   ? "<|image|>"
                   : part.is == content_part::kind::audio ? "<|audio|>"
                                                          : "<|video|>");
        ended_with = last::other;
      }
    }
    if (ended_with == last::call && !responded) {
      out.markup("<|tool_response>");
    } else if (!responded || !detail::is_empty(m.said)) {
      out.markup("<turn|>\n");
    }
  }

  if (options.generation_prompt && ended_with == last::other) {
    out.markup("<|turn>model\n");
    if (!options.thinking && options.empty_thought) out.markup("<|channel>thought\n<channel|>");
  }
  return std::move(w.out);
}

}  // namespace detail

G4_INLINE result<prompt> gemma4_prompt(std::span<const message> messages, const gemma4_chat& options) {
  return guarded([&] { return detail::gemma4_turns(messages, options); });
}

}  // namespace g4::text
