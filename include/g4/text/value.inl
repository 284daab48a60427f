/// value.h, defined.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "g4/text/value.h"

namespace g4::text {

G4_INLINE const value* value::find(std::string_view key) const {
  const object* members = as<object>();
  if (members == nullptr) return nullptr;
  for (const auto& [name, member] : *members) {
    if (name == key) return &member;
  }
  return nullptr;
}

G4_INLINE bool is_true(const value* v) {
  if (v == nullptr || v->as<std::monostate>() != nullptr) return false;
  if (const auto* b = v->as<bool>()) return *b;
  if (const auto* i = v->as<std::int64_t>()) return *i != 0;
  if (const auto* d = v->as<double>()) return *d != 0;
  if (const auto* s = v->as<std::string>()) return !s->empty();
  if (const auto* l = v->as<value::list>()) return !l->empty();
  return !v->as<value::object>()->empty();
}

G4_INLINE void append_python_float(double number, std::string& out) {
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

G4_INLINE void append_python(const value& v, std::string& out, bool quoted) {
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
