#include "json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>

#include "g4/core/printable.h"

namespace program {

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = g4::detail::first_scalar(text).length;
    const char c = text[0];
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      constexpr std::string_view digits = "0123456789abcdef";
      out += "\\u00";
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[static_cast<unsigned char>(c) & 15];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out + '"';
}

}  // namespace

json::json(std::string_view text) : text_(quoted(text)) {}

json::json(double number) {
  if (!std::isfinite(number)) return;
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  text_.assign(digits, end);
  // A fraction stays one for readers that tell whole numbers apart.
  if (text_.find_first_of(".e") == std::string::npos) text_ += ".0";
}

json json::written(std::string text) {
  json made;
  made.text_ = std::move(text);
  return made;
}

json json::object(std::initializer_list<std::pair<const char*, json>> members) {
  json made;
  made.kind_ = json::members;
  for (const auto& [key, value] : members) made[key] = value;
  return made;
}

json json::array() {
  json made;
  made.kind_ = list;
  return made;
}

json& json::operator[](std::string_view key) {
  kind_ = members;
  const auto at = std::find(keys_.begin(), keys_.end(), key);
  if (at != keys_.end()) return children_[static_cast<std::size_t>(at - keys_.begin())];
  keys_.emplace_back(key);
  return children_.emplace_back();
}

void json::push_back(json element) {
  kind_ = list;
  children_.push_back(std::move(element));
}

std::string json::text() const {
  std::string all;
  write(all, 0);
  return all + '\n';
}

std::string json::line() const {
  std::string all;
  write_line(all);
  return all;
}

void json::write_line(std::string& to) const {
  if (kind_ == scalar) {
    to += text_;
    return;
  }
  to += kind_ == list ? '[' : '{';
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (i > 0) to += ',';
    if (kind_ == members) to += quoted(keys_[i]) + ':';
    children_[i].write_line(to);
  }
  to += kind_ == list ? ']' : '}';
}

void json::write(std::string& to, std::size_t depth) const {
  if (kind_ == scalar) {
    to += text_;
    return;
  }
  const bool flat =  // numbers stand side by side
      kind_ == list && std::all_of(children_.begin(), children_.end(), [](const json& c) { return c.kind_ == scalar; });
  const std::string line = flat || children_.empty() ? std::string() : '\n' + std::string(2 * depth + 2, ' ');
  to += kind_ == list ? '[' : '{';
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (i > 0) to += flat ? ", " : ",";
    to += line;
    if (kind_ == members) to += quoted(keys_[i]) + ": ";
    children_[i].write(to, depth + 1);
  }
  if (!line.empty()) to += '\n' + std::string(2 * depth, ' ');
  to += kind_ == list ? ']' : '}';
}

}  // namespace program
