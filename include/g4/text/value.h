/// A value of a tool's schema, arguments or answer: what JSON can hold, in the order it was given.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace g4::text {

struct value {
  using list = std::vector<value>;
  using object = std::vector<std::pair<std::string, value>>;

  std::variant<std::monostate, bool, std::int64_t, double, std::string, list, object> held;

  value() = default;
  value(bool b) : held(b) {}                           // NOLINT: a literal reads as the value it is
  value(std::int64_t i) : held(i) {}                   // NOLINT
  value(int i) : held(std::int64_t{i}) {}              // NOLINT
  value(double d) : held(d) {}                         // NOLINT
  value(std::string s) : held(std::move(s)) {}         // NOLINT
  value(std::string_view s) : held(std::string(s)) {}  // NOLINT
  value(const char* s) : held(std::string(s)) {}       // NOLINT
  value(list l) : held(std::move(l)) {}                // NOLINT
  value(object o) : held(std::move(o)) {}              // NOLINT

  template <class T>
  [[nodiscard]] const T* as() const {
    return std::get_if<T>(&held);
  }
  /// The member `key` of an object; null where there is none, or this is no object.
  [[nodiscard]] const value* find(std::string_view key) const {
    const object* members = as<object>();
    if (members == nullptr) return nullptr;
    for (const auto& [name, member] : *members) {
      if (name == key) return &member;
    }
    return nullptr;
  }
};

/// Whether a template's `if` takes the value as true: not empty, not zero, not null, not absent.
[[nodiscard]] inline bool is_true(const value* v) {
  if (v == nullptr || v->as<std::monostate>() != nullptr) return false;
  if (const auto* b = v->as<bool>()) return *b;
  if (const auto* i = v->as<std::int64_t>()) return *i != 0;
  if (const auto* d = v->as<double>()) return *d != 0;
  if (const auto* s = v->as<std::string>()) return !s->empty();
  if (const auto* l = v->as<value::list>()) return !l->empty();
  return !v->as<value::object>()->empty();
}

/// A float as Python writes it, because the published templates print numbers with it: the shortest digits that read
/// back as the same number, "1.0" and not "1", an exponent below 1e-4 and from 1e16 on.
inline void append_python_float(double number, std::string& out) {
  if (std::isnan(number)) {
    out += "nan";
    return;
  }
  if (std::isinf(number)) {
    out += number < 0 ? "-inf" : "inf";
    return;
  }
  char scientific[40];
  const auto end = std::to_chars(scientific, scientific + sizeof scientific, number, std::chars_format::scientific).ptr;
  const std::string_view all(scientific, static_cast<std::size_t>(end - scientific));
  const std::size_t e = all.find('e');
  int exponent = 0;
  const bool negative_exponent = all[e + 1] == '-';
  std::from_chars(all.data() + e + 2, all.data() + all.size(), exponent);
  if (negative_exponent) exponent = -exponent;
  std::string digits;
  for (const char c : all.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (all[0] == '-') out += '-';
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out.append(".").append(digits, 1);
    out += negative_exponent ? "e-" : "e+";
    const std::string power = std::to_string(negative_exponent ? -exponent : exponent);
    if (power.size() < 2) out += '0';
    out += power;
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
  } else {
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole) {
      out.append(digits).append(whole - digits.size(), '0').append(".0");
    } else {
      out.append(digits, 0, whole).append(".").append(digits, whole);
    }
  }
}

/// A value as Python's str() writes it; `quoted` for strings inside lists and objects, which it shows with quotes.
inline void append_python(const value& v, std::string& out, bool quoted = false) {
  if (v.as<std::monostate>() != nullptr) {
    out += "None";
  } else if (const auto* b = v.as<bool>()) {
    out += *b ? "True" : "False";
  } else if (const auto* whole = v.as<std::int64_t>()) {
    out += std::to_string(*whole);
  } else if (const auto* d = v.as<double>()) {
    append_python_float(*d, out);
  } else if (const auto* s = v.as<std::string>()) {
    if (!quoted) {
      out += *s;
      return;
    }
    const char quote = s->find('\'') != std::string::npos && s->find('"') == std::string::npos ? '"' : '\'';
    out += quote;
    for (const char c : *s) {
      if (c == quote || c == '\\') out += '\\';
      switch (c) {
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        default: out += c;
      }
    }
    out += quote;
  } else if (const auto* l = v.as<value::list>()) {
    out += '[';
    for (std::size_t i = 0; i < l->size(); ++i) {
      if (i > 0) out += ", ";
      append_python((*l)[i], out, true);
    }
    out += ']';
  } else {
    const auto& members = *v.as<value::object>();
    out += '{';
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out += ", ";
      append_python(value(members[i].first), out, true);
      out += ": ";
      append_python(members[i].second, out, true);
    }
    out += '}';
  }
}

}  // namespace g4::text
