/// JSON read with care: what comes from a stranger's file may neither throw, nor exhaust memory, nor say a thing twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "g4/core/result.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

using json = nlohmann::json;

/// What a text may ask for before it is read at all. A parsed document takes some tens of bytes per byte of text, so
/// `bytes` bounds the memory of `parse_json`; `token` bounds the buffers of a reader of events.
struct json_limits {
  std::size_t bytes = 4u << 20;
  std::size_t depth = 32;
  std::size_t token = 1u << 20;
};

/// Refuses a text that is too long, nested too deeply, or holds a string or number that is too long. One pass, no
/// allocation; says nothing about whether the text is JSON.
[[nodiscard]] inline result<void> check_json_limits(std::string_view text, std::string_view name,
                                                    const json_limits& limits) {
  if (text.size() > limits.bytes) {
    return fail(std::string(name), ": has ", text.size(), " bytes of JSON; g4 reads at most ", limits.bytes);
  }
  std::size_t depth = 0;
  // nlohmann's lexer keeps everything since the beginning of the last string or number, so that is what is counted.
  std::size_t kept = 0;
  bool in_string = false;
  bool in_number = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    ++kept;
    if (in_string) {
      if (c == '"') in_string = false;
      if (c == '\\') ++i, ++kept;
    } else if (c == '"') {
      in_string = true;
      in_number = false;
      kept = 0;
    } else if ((c >= '0' && c <= '9') || c == '-' || (in_number && (c == '+' || c == '.' || c == 'e' || c == 'E'))) {
      if (!in_number) kept = 0;
      in_number = true;
    } else {
      in_number = false;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && depth > 0) --depth;
      if (depth > limits.depth) {
        return fail(std::string(name), ": is nested more than ", limits.depth, " deep at byte ", i);
      }
    }
    if (kept > limits.token) {
      return fail(std::string(name), ": holds a string, a number or a stretch without either longer than ",
                  limits.token, " bytes at byte ", i);
    }
  }
  return {};
}

/// What a reader of JSON events starts from: every event is refused, so that a reader names only what it expects.
/// An event returns false to stop; `problem` then says why.
struct json_reader {
  std::string problem;
  std::size_t stopped_at = 0;

  bool refuse(std::string why) {
    problem = std::move(why);
    return false;
  }

  bool null() { return refuse("holds null where something else is expected"); }
  bool boolean(bool) { return refuse("holds true or false where something else is expected"); }
  bool number_integer(std::int64_t) { return refuse("holds a negative number where something else is expected"); }
  bool number_unsigned(std::uint64_t) { return refuse("holds a number where something else is expected"); }
  bool number_float(double, const std::string&) { return refuse("holds a fraction where something else is expected"); }
  bool string(std::string&) { return refuse("holds a string where something else is expected"); }
  bool binary(std::vector<std::uint8_t>&) { return refuse("holds binary data"); }
  bool start_object(std::size_t) { return refuse("holds an object where something else is expected"); }
  bool key(std::string&) { return refuse("holds an unexpected key"); }
  bool end_object() { return true; }
  bool start_array(std::size_t) { return refuse("holds a list where something else is expected"); }
  bool end_array() { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    stopped_at = position;
    return false;
  }
};

/// Walks a text and hands its events to a reader (a json_reader with the expected events defined anew). What does not
/// fit the limits, is not JSON, or is refused by the reader becomes an error under `name`.
template <class Reader>
[[nodiscard]] result<void> read_json(std::string_view text, std::string_view name, const json_limits& limits,
                                     Reader& reader) {
  if (auto checked = check_json_limits(text, name, limits); !checked) return checked;
  if (json::sax_parse(text.begin(), text.end(), &reader)) return {};
  if (!reader.problem.empty()) return fail(std::string(name), ": ", reader.problem);
  const std::string_view before = text.substr(0, reader.stopped_at > 0 ? reader.stopped_at - 1 : 0);
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char c : before) {
    column = c == '\n' ? 1 : column + 1;
    if (c == '\n') ++line;
  }
  return fail(std::string(name), ": is not valid JSON at line ", line, ", column ", column);
}

namespace detail {

/// Builds a document from events. nlohmann's own builder lets a repeated key replace the first one silently.
struct document_reader : json_reader {
  json root;
  std::vector<json*> open;  // the containers around the next value; a container is complete before its owner changes
  std::string next_key;

  json* put(json value) {
    if (open.empty()) {
      root = std::move(value);
      return &root;
    }
    if (auto* list = open.back()->get_ptr<json::array_t*>()) {
      list->push_back(std::move(value));
      return &list->back();
    }
    auto* object = open.back()->get_ptr<json::object_t*>();
    return &object->emplace(std::move(next_key), std::move(value)).first->second;
  }

  bool null() { return put(nullptr) != nullptr; }
  bool boolean(bool value) { return put(value) != nullptr; }
  bool number_integer(std::int64_t value) { return put(value) != nullptr; }
  bool number_unsigned(std::uint64_t value) { return put(value) != nullptr; }
  bool number_float(double value, const std::string&) { return put(value) != nullptr; }
  bool string(std::string& value) { return put(std::move(value)) != nullptr; }
  bool start_object(std::size_t) {
    open.push_back(put(json::object()));
    return true;
  }
  bool key(std::string& value) {
    if (open.back()->contains(value)) return refuse("holds the key " + shown(value) + " twice");
    next_key = std::move(value);
    return true;
  }
  bool end_object() {
    open.pop_back();
    return true;
  }
  bool start_array(std::size_t) {
    open.push_back(put(json::array()));
    return true;
  }
  bool end_array() { return end_object(); }
};

}  // namespace detail

/// A whole document, for small texts such as config.json. Refuses what is not JSON, a repeated key, a number that does
/// not fit, and what exceeds the limits. Reading it stays free of exceptions as long as types are asked before values
/// (`is_string`, `find`, `get_ptr`).
///
/// name   what errors call the text: a path
[[nodiscard]] inline result<json> parse_json(std::string_view text, std::string_view name,
                                             const json_limits& limits = {}) {
  detail::document_reader reader;
  if (auto read = read_json(text, name, limits, reader); !read) return unexpected(std::move(read.error()));
  return std::move(reader.root);
}

/// The characters of a mapped file (or any other bytes).
[[nodiscard]] inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace g4::io
