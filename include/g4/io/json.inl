/// json.h, defined.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

#include "g4/core/utf8.h"
#include "g4/io/json.h"
#include "g4/io/mapped_file.h"

namespace g4::io {

G4_INLINE json::json(int n) : kind_(n < 0 ? kind::negative : kind::natural) {
  if (n < 0) {
    number_.negative = n;
  } else {
    number_.natural = static_cast<std::uint64_t>(n);
  }
}
G4_INLINE json::json(std::string s) : kind_(kind::string), text_(std::move(s)) {}
G4_INLINE json::json(const char* s) : kind_(kind::string), text_(s) {}
G4_INLINE json::json(array_t elements) : kind_(kind::array), elements_(std::move(elements)) {}
G4_INLINE json::json(object_t members) : kind_(kind::object), members_(std::move(members)) {
  const auto by_name = [](const member& a, const member& b) { return a.name < b.name; };
  if (!std::is_sorted(members_.begin(), members_.end(), by_name)) {
    std::stable_sort(members_.begin(), members_.end(), by_name);
  }
  const auto same_name = [](const member& a, const member& b) { return a.name == b.name; };
  members_.erase(std::unique(members_.begin(), members_.end(), same_name), members_.end());
}
G4_INLINE json::json(const json&) = default;
G4_INLINE json::json(json&&) noexcept = default;
G4_INLINE json& json::operator=(const json&) = default;
G4_INLINE json& json::operator=(json&&) noexcept = default;
G4_INLINE json::~json() = default;

G4_INLINE json json::array() { return array_t{}; }
G4_INLINE json json::object() { return object_t{}; }

G4_INLINE std::size_t json::size() const {
  if (is_array()) return elements_.size();
  if (is_object()) return members_.size();
  return is_null() ? 0 : 1;
}
G4_INLINE const json* json::end() const { return elements_.data() + elements_.size(); }
G4_INLINE const json* json::find(std::string_view key) const {
  const auto at = std::lower_bound(members_.begin(), members_.end(), key,
                                   [](const member& m, std::string_view name) { return m.name < name; });
  return at == members_.end() || at->name != key ? nullptr : &at->value;
}
G4_INLINE void json::update(const json& other) {
  object_t all = other.members_;
  if (is_object()) all.insert(all.end(), members_.begin(), members_.end());
  *this = json(std::move(all));
}
G4_INLINE bool json::operator==(const json& other) const {
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case kind::null: return true;
    case kind::boolean: return number_.truth == other.number_.truth;
    case kind::natural: return number_.natural == other.number_.natural;
    case kind::negative: return number_.negative == other.number_.negative;
    case kind::real: return number_.real == other.number_.real;
    case kind::string: return text_ == other.text_;
    case kind::array: return elements_ == other.elements_;
    case kind::object: break;
  }
  return members_ == other.members_;
}

namespace detail {

/// One walk over a text. Nothing is allocated but the string of the event, and a byte for each open bracket.
class json_walk {
 public:
  json_walk(std::string_view text, std::string_view name, const json_limits& limits, json_reader& reader)
      : text_(text), name_(name), limits_(limits), reader_(reader) {}

  [[nodiscard]] result<void> run() {
    if (text_.size() > limits_.bytes) {
      return fail(name_, ": has ", text_.size(), " bytes of JSON; g4 reads at most ", limits_.bytes);
    }
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    if (walk()) return {};
    if (!too_much_.empty()) return fail(name_, ": ", too_much_, " at byte ", at_);
    if (!reader_.problem.empty()) return fail(name_, ": ", reader_.problem);
    std::size_t line = 1;
    std::size_t column = 1;
    for (const char c : text_.substr(0, at_)) {
      column = c == '\n' ? 1 : column + 1;
      if (c == '\n') ++line;
    }
    return fail(name_, ": is not valid JSON at line ", line, ", column ", column);
  }

 private:
  static constexpr char end = '\0';  // no character of JSON outside its strings

  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : end; }
  void skip_blanks() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
      ++at_;
    }
  }
  bool take(char c) {
    if (next() != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool refuse_token(std::size_t begin) {
    at_ = begin;
    too_much_ = "holds a string or a number longer than " + std::to_string(limits_.token) + " bytes";
    return false;
  }

  bool walk() {
    std::string open;  // the closing brackets still to come
    for (;;) {
      skip_blanks();
      if (!open.empty() && open.back() == '}') {
        if (!string() || !reader_.key(token_)) return false;
        skip_blanks();
        if (!take(':')) return false;
        skip_blanks();
      }
      const char c = next();
      if (c == '{' || c == '[') {
        if (open.size() == limits_.depth) {
          too_much_ = "is nested more than " + std::to_string(limits_.depth) + " deep";
          return false;
        }
        ++at_;
        open += c == '{' ? '}' : ']';
        if (!(c == '{' ? reader_.start_object() : reader_.start_array())) return false;
        skip_blanks();
        if (next() != open.back()) continue;
      } else if (!single(c)) {
        return false;
      }
      for (;;) {  // a value is complete: what follows it?
        skip_blanks();
        if (open.empty()) return at_ == text_.size();
        if (take(',')) break;
        if (!take(open.back())) return false;
        if (!(open.back() == '}' ? reader_.end_object() : reader_.end_array())) return false;
        open.pop_back();
      }
    }
  }

  bool single(char c) {
    switch (c) {
      case '"': return string() && reader_.string(token_);
      case 'n': return take("null") && reader_.null();
      case 't': return take("true") && reader_.boolean(true);
      case 'f': return take("false") && reader_.boolean(false);
      default: return number();
    }
  }

  /// "…", without its quotes and escapes, into `token_`.
  bool string() {
    if (!take('"')) return false;
    token_.clear();
    const std::size_t begin = at_;
    for (;;) {
      const std::size_t plain = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20) {
        const std::size_t length = utf8_length(text_[at_]);
        if (static_cast<unsigned char>(text_[at_]) >= 0x80 &&
            utf8_check(text_.substr(at_, length)) != utf8_state::complete) {
          return false;
        }
        at_ += length;
      }
      if (at_ - begin > limits_.token) return refuse_token(begin);
      token_.append(text_, plain, at_ - plain);
      if (take('"')) return true;
      if (!take('\\') || !escape()) return false;
    }
  }

  bool escape() {
    const char c = next();
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (const std::size_t i = letters.find(c); c != end && i != std::string_view::npos) {
      ++at_;
      token_ += meanings[i];
      return true;
    }
    if (!take('u')) return false;
    const std::optional<std::uint32_t> unit = four_digits();
    if (!unit || (*unit >= 0xDC00 && *unit < 0xE000)) return false;
    if (*unit < 0xD800 || *unit >= 0xE000) {
      append_utf8(*unit, token_);
      return true;
    }
    if (!take("\\u")) return false;
    const std::optional<std::uint32_t> low = four_digits();
    if (!low || *low < 0xDC00 || *low >= 0xE000) return false;
    append_utf8(0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00), token_);
    return true;
  }

  std::optional<std::uint32_t> four_digits() {
    const std::string_view digits = text_.substr(at_, 4);
    std::uint32_t unit = 0;
    const auto [stop, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (bad != std::errc{} || stop != digits.data() + 4) return std::nullopt;
    at_ += 4;
    return unit;
  }

  bool digits() {
    const std::size_t begin = at_;
    while (next() >= '0' && next() <= '9') ++at_;
    return at_ > begin;
  }

  bool number() {
    const std::size_t begin = at_;
    const bool negative = take('-');
    if (!take('0') && !digits()) return false;
    bool whole = true;
    if (take('.')) {
      whole = false;
      if (!digits()) return false;
    }
    if (take('e') || take('E')) {
      whole = false;
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    if (at_ - begin > limits_.token) return refuse_token(begin);
    const char* const first = text_.data() + begin;
    const char* const last = text_.data() + at_;
    if (std::int64_t n = 0; whole && negative && std::from_chars(first, last, n).ec == std::errc{}) {
      return reader_.number_integer(n);
    }
    if (std::uint64_t n = 0; whole && !negative && std::from_chars(first, last, n).ec == std::errc{}) {
      return reader_.number_unsigned(n);
    }
    double value = 0;
    if (std::from_chars(first, last, value).ec != std::errc{}) {  // too large, or so small that it is zero
      if (!is_below_one(text_.substr(begin, at_ - begin))) {
        at_ = begin;
        return false;
      }
      value = negative ? -0.0 : 0.0;
    }
    return reader_.number_float(value);
  }

  /// For a number that no double holds: whether it is too small rather than too large.
  static bool is_below_one(std::string_view number) {
    const std::size_t e = number.find_first_of("eE");
    const std::string_view digits = number.substr(0, e);
    const std::size_t point = std::min(digits.find('.'), digits.size());
    const std::size_t first = std::min(digits.find_first_of("123456789"), digits.size());
    auto power = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
    if (e != std::string_view::npos) {
      std::string_view exponent = number.substr(e + 1);
      if (exponent.starts_with('+')) exponent.remove_prefix(1);
      std::int64_t n = 0;
      if (std::from_chars(exponent.data(), exponent.data() + exponent.size(), n).ec != std::errc{} ||
          n < -(std::int64_t{1} << 40) || n > (std::int64_t{1} << 40)) {
        return exponent.starts_with('-');
      }
      power += n;
    }
    return power < 0;
  }

  std::string_view text_;
  std::string name_;
  json_limits limits_;
  json_reader& reader_;
  std::size_t at_ = 0;
  std::string token_;
  std::string too_much_;
};

}  // namespace detail

G4_INLINE result<void> read_json(std::string_view text, std::string_view name, const json_limits& limits,
                                 json_reader& reader) {
  return detail::json_walk(text, name, limits, reader).run();
}

G4_INLINE result<json> parse_json(std::string_view text, std::string_view name, const json_limits& limits) {
  json_builder builder;
  if (auto read = read_json(text, name, limits, builder); !read) return unexpected(std::move(read.error()));
  return std::move(builder.root);
}

G4_INLINE result<json> parse_json_file(const std::string& path) {
  auto file = map_file(path);
  if (!file) return unexpected(std::move(file.error()));
  return parse_json(text_of((*file)->bytes()), path);
}

G4_INLINE std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  const auto unit = [&out](std::uint32_t n) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += "0123456789abcdef"[(n >> shift) & 15];
  };
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    constexpr std::string_view escaped = "\"\\\b\f\n\r\t";
    if (const std::size_t e = escaped.find(text[i]); e != std::string_view::npos) {
      out += '\\';
      out += "\"\\bfnrt"[e];
      ++i;
    } else if (c < 0x7F) {
      if (c < 0x20) {
        unit(c);
      } else {
        out += text[i];
      }
      ++i;
    } else {
      const std::string_view character = text.substr(i, utf8_length(text[i]));
      if (utf8_check(character) != utf8_state::complete) {
        unit(0xFFFD);
        ++i;
        continue;
      }
      const std::uint32_t point = utf8_point(character);
      if (point < 0x10000) {
        unit(point);
      } else {
        unit(0xD800 + ((point - 0x10000) >> 10));
        unit(0xDC00 + ((point - 0x10000) & 0x3FF));
      }
      i += character.size();
    }
  }
  return out + '"';
}

}  // namespace g4::io
