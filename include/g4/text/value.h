/// A value of a tool's schema, arguments or answer: what JSON can hold, in the order it was given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "g4/core/compiled.h"

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
  [[nodiscard]] const value* find(std::string_view key) const;
};

/// Whether a template's `if` takes the value as true: not empty, not zero, not null, not absent.
[[nodiscard]] G4_INLINE bool is_true(const value* v);

/// A float as Python writes it, because the published templates print numbers with it: the shortest digits that read
/// back as the same number, "1.0" and not "1", an exponent below 1e-4 and from 1e16 on.
G4_INLINE void append_python_float(double number, std::string& out);

/// A value as Python's str() writes it; `quoted` for strings inside lists and objects, which it shows with quotes.
G4_INLINE void append_python(const value& v, std::string& out, bool quoted = false);

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/value.inl"  // IWYU pragma: keep
#endif
