/// JSON read with care: what comes from a stranger's file may neither throw, nor exhaust memory, nor say a thing twice.
///
/// The grammar is RFC 8259's and nothing more: no comments, no trailing commas, strings of well-formed UTF-8 without
/// bare control characters, surrogates in pairs. A mark of the byte order in front is passed over.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/shown.h"

namespace g4::io {

/// A JSON value. A whole number is unsigned where it is not negative and fits into 64 bits, signed where it is negative
/// and fits, and a double otherwise.
class json {
 public:
  struct member;
  using array_t = std::vector<json>;
  using object_t = std::vector<member>;  ///< by the order of their names, each once

  json();
  json(std::nullptr_t);     // NOLINT: a literal reads as the value it is
  json(bool b);             // NOLINT
  json(int n);              // NOLINT
  json(std::uint64_t n);    // NOLINT
  json(std::int64_t n);     // NOLINT
  json(double d);           // NOLINT
  json(std::string s);      // NOLINT
  json(const char* s);      // NOLINT
  json(array_t elements);   // NOLINT
  json(object_t members);  // NOLINT: in any order; of equal names the first counts
  json(const json&);
  json(json&&) noexcept;
  json& operator=(const json&);
  json& operator=(json&&) noexcept;
  ~json();

  [[nodiscard]] static json array();
  [[nodiscard]] static json object();

  /// The value as a bool, std::uint64_t, std::int64_t (negative numbers only), double (no whole number), std::string,
  /// array_t or object_t; null where it is something else.
  template <class T>
  [[nodiscard]] const T* as() const {
    if constexpr (std::is_same_v<T, bool>) return kind_ == kind::boolean ? &number_.truth : nullptr;
    if constexpr (std::is_same_v<T, std::uint64_t>) return kind_ == kind::natural ? &number_.natural : nullptr;
    if constexpr (std::is_same_v<T, std::int64_t>) return kind_ == kind::negative ? &number_.negative : nullptr;
    if constexpr (std::is_same_v<T, double>) return kind_ == kind::real ? &number_.real : nullptr;
    if constexpr (std::is_same_v<T, std::string>) return kind_ == kind::string ? &text_ : nullptr;
    if constexpr (std::is_same_v<T, array_t>) return kind_ == kind::array ? &elements_ : nullptr;
    if constexpr (std::is_same_v<T, object_t>) return kind_ == kind::object ? &members_ : nullptr;
  }

  [[nodiscard]] bool is_null() const { return kind_ == kind::null; }
  [[nodiscard]] bool is_boolean() const { return kind_ == kind::boolean; }
  [[nodiscard]] bool is_number() const {
    return kind_ == kind::natural || kind_ == kind::negative || kind_ == kind::real;
  }
  [[nodiscard]] bool is_string() const { return kind_ == kind::string; }
  [[nodiscard]] bool is_array() const { return kind_ == kind::array; }
  [[nodiscard]] bool is_object() const { return kind_ == kind::object; }

  /// Elements of a list, members of an object, none of null; 1 of any other.
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }

  /// The elements of a list; none of anything else.
  [[nodiscard]] const json* begin() const { return elements_.data(); }
  [[nodiscard]] const json* end() const;
  /// An element of a list. Only where there is one.
  [[nodiscard]] const json& operator[](std::size_t i) const { return begin()[i]; }

  /// The members of an object; none of anything else.
  [[nodiscard]] const object_t& members() const { return members_; }
  /// The member called `key`; null where there is none, or this is no object.
  [[nodiscard]] const json* find(std::string_view key) const;
  [[nodiscard]] bool contains(std::string_view key) const { return find(key) != nullptr; }
  /// Takes over the members of another object; nothing of anything else. Makes this an object if it is none.
  void update(const json& other);

  [[nodiscard]] bool operator==(const json& other) const;

 private:
  enum class kind : std::uint8_t { null, boolean, natural, negative, real, string, array, object };
  union number {
    bool truth;
    std::uint64_t natural;
    std::int64_t negative;
    double real;
  };

  kind kind_ = kind::null;
  number number_{.natural = 0};
  std::string text_;
  array_t elements_;
  object_t members_;
};

struct json::member {
  std::string name;
  json value;
  [[nodiscard]] bool operator==(const member& other) const { return name == other.name && value == other.value; }
};

// Here, where the members of a value are complete: clang asks for them where a value is made.
inline json::json() : json(nullptr) {}
inline json::json(std::nullptr_t) {}
inline json::json(bool b) : kind_(kind::boolean) { number_.truth = b; }
inline json::json(std::uint64_t n) : kind_(kind::natural) { number_.natural = n; }
inline json::json(std::int64_t n) : kind_(kind::negative) { number_.negative = n; }
inline json::json(double d) : kind_(kind::real) { number_.real = d; }

/// What a text may ask for before it is refused. A parsed document takes some tens of bytes per byte of text, so `bytes`
/// bounds the memory of `parse_json`; `token`, the longest string or number, bounds the buffers of a reader of events.
struct json_limits {
  std::size_t bytes = 4u << 20;
  std::size_t depth = 32;
  std::size_t token = 1u << 20;
};

/// What a reader of JSON events starts from: every event is refused, so that a reader names only what it expects.
/// An event returns false to stop; `problem` then says why. A string may be taken: it is made anew for each event.
struct json_reader {
  std::string problem;

  bool refuse(std::string why) {
    problem = std::move(why);
    return false;
  }

  json_reader() = default;
  json_reader(const json_reader&) = default;
  json_reader& operator=(const json_reader&) = default;
  virtual ~json_reader() = default;
  virtual bool null() { return refuse("holds null where something else is expected"); }
  virtual bool boolean(bool) { return refuse("holds true or false where something else is expected"); }
  virtual bool number_integer(std::int64_t) {
    return refuse("holds a negative number where something else is expected");
  }
  virtual bool number_unsigned(std::uint64_t) { return refuse("holds a number where something else is expected"); }
  virtual bool number_float(double) { return refuse("holds a fraction where something else is expected"); }
  virtual bool string(std::string&) { return refuse("holds a string where something else is expected"); }
  virtual bool start_object() { return refuse("holds an object where something else is expected"); }
  virtual bool key(std::string&) { return refuse("holds an unexpected key"); }
  virtual bool end_object() { return true; }
  virtual bool start_array() { return refuse("holds a list where something else is expected"); }
  virtual bool end_array() { return true; }
};

/// Walks a text and hands its events to a reader (a json_reader with the expected events defined anew). What does not
/// fit the limits, is not JSON, or is refused by the reader becomes an error under `name`.
[[nodiscard]] G4_INLINE result<void> read_json(std::string_view text, std::string_view name, const json_limits& limits,
                                               json_reader& reader);

/// Builds a document from the events of `read_json`, all of a text's or some. A repeated key is refused.
class json_builder final : public json_reader {
 public:
  json root;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(std::int64_t value) override { return put(value); }
  bool number_unsigned(std::uint64_t value) override { return put(value); }
  bool number_float(double value) override { return put(value); }
  // A copy: the walk's buffer may be far larger than its content.
  bool string(std::string& value) override { return put(std::string(std::string_view(value))); }
  bool key(std::string& value) override {
    open_.back().members.push_back({std::string(std::string_view(value)), {}});
    return true;
  }
  bool start_object() override { return open(true); }
  bool end_object() override {
    json::object_t members = std::move(open_.back().members);
    open_.pop_back();
    const std::size_t count = members.size();
    std::vector<std::string_view> names;
    names.reserve(count);
    for (const json::member& m : members) names.push_back(m.name);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
      return refuse("holds the key " + shown(*twice) + " twice");
    }
    return put(std::move(members));
  }
  bool start_array() override { return open(false); }
  bool end_array() override {
    json::array_t elements = std::move(open_.back().elements);
    open_.pop_back();
    return put(std::move(elements));
  }

 private:
  struct container {
    bool is_object;
    json::array_t elements;
    json::object_t members;  // the last one's value is still to come while it is read
  };

  bool open(bool is_object) {
    open_.push_back({is_object, {}, {}});
    return true;
  }
  bool put(json value) {
    if (open_.empty()) {
      root = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().members.back().value = std::move(value);
    } else {
      open_.back().elements.push_back(std::move(value));
    }
    return true;
  }

  std::vector<container> open_;
};

/// A whole document, for small texts such as config.json. Refuses what is not JSON, a repeated key, a number that does
/// not fit, and what exceeds the limits.
///
/// name   what errors call the text: a path
[[nodiscard]] G4_INLINE result<json> parse_json(std::string_view text, std::string_view name,
                                                const json_limits& limits = {});

/// The same of a file.
[[nodiscard]] G4_INLINE result<json> parse_json_file(const std::string& path);

/// A string as JSON writes it, in ASCII: `"` … `"`, anything else escaped. Bytes that belong to no character become
/// U+FFFD.
[[nodiscard]] G4_INLINE std::string json_quoted(std::string_view text);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/json.inl"  // IWYU pragma: keep
#endif
