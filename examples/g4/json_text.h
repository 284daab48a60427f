// What --json writes.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace program {

/// A JSON value that is only ever written. Members keep their order; what is no UTF-8 becomes U+FFFD, so that writing
/// cannot fail, and so does no number: infinities and NaN are null.
class json {
 public:
  json() = default;  ///< null, until a member or an element makes an object or a list of it
  json(std::nullptr_t) {}
  json(std::string_view text);
  json(const std::string& text) : json(std::string_view(text)) {}
  json(const char* text) : json(std::string_view(text)) {}
  json(double number);
  /// What is JSON already.
  [[nodiscard]] static json written(std::string text);
  template <class T>
  requires std::integral<T> json(T number)
      : text_(std::is_same_v<T, bool> ? (number ? "true" : "false") : std::to_string(number)) {}
  template <class T>
  json(const std::vector<T>& elements) : kind_(list) {
    for (const T& e : elements) push_back(e);
  }

  [[nodiscard]] static json object(std::initializer_list<std::pair<const char*, json>> members);
  [[nodiscard]] static json array();

  /// A member, made where there is none.
  json& operator[](std::string_view key);
  void push_back(json element);

  /// The whole text, its last line ended.
  [[nodiscard]] std::string text() const;
  /// The same on one line, which is not ended.
  [[nodiscard]] std::string line() const;

 private:
  enum kind { scalar, list, members };
  void write(std::string& to, std::size_t depth) const;
  void write_line(std::string& to) const;

  kind kind_ = scalar;
  std::string text_ = "null";  // a scalar as it is written
  std::vector<std::string> keys_;
  std::vector<json> children_;
};

}  // namespace program
