/// The outcome of anything that can be refused: a value, or one sentence that says why not.
///
/// The library throws nothing, prints nothing and aborts nothing; whatever reads a file, a configuration or a
/// user's option returns a `result<T>`. `result<T>` is `tl::expected`, or `std::expected` where the library has it.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <version>

#if defined(__cpp_lib_expected)
#include <expected>
#else
#include <tl/expected.hpp>
#endif

#include "g4/core/compiled.h"

namespace g4 {

/// Why something was refused. The message is one sentence that names the file, the tensor or option, what was
/// expected and what was found; it ends without a full stop and holds no line breaks.
struct error {
  std::string message;
};

#if defined(__cpp_lib_expected)
template <class T>
using result = std::expected<T, error>;
using unexpected = std::unexpected<error>;
#else
template <class T>
using result = tl::expected<T, error>;
using unexpected = tl::unexpected<error>;
#endif

namespace detail {

/// One piece of a sentence: text, or a number.
class piece {
 public:
  constexpr piece(std::string_view text) : kind_(kind::text), text_(text.data()), size_(text.size()) {}
  constexpr piece(const char* text) : piece(std::string_view(text)) {}
  piece(const std::string& text) : piece(std::string_view(text)) {}
  template <std::signed_integral T>
  constexpr piece(T number) : kind_(kind::integer), integer_(number) {}
  template <std::unsigned_integral T>
  constexpr piece(T number) : kind_(kind::natural), natural_(number) {}
  template <std::floating_point T>
  constexpr piece(T number) : kind_(kind::real), real_(static_cast<double>(number)) {}

  G4_INLINE void append_to(std::string& sentence) const;

 private:
  enum class kind : unsigned char { text, integer, natural, real };

  kind kind_;
  union {
    const char* text_;
    long long integer_;
    unsigned long long natural_;
    double real_;
  };
  std::size_t size_ = 0;
};

[[nodiscard]] G4_INLINE unexpected fail_with(std::initializer_list<piece> pieces);

}  // namespace detail

/// `return fail("model.gguf: ", name, " is missing");` The pieces are strings or numbers. What a file or a user wrote
/// may be among them: control characters come out as \n or \x1b, here and nowhere else.
template <class... Pieces>
[[nodiscard]] unexpected fail(const Pieces&... pieces) {
  return detail::fail_with({detail::piece(pieces)...});
}

/// Puts a place in front of an error that was raised further down: `file.gguf: <what went wrong>`.
[[nodiscard]] G4_INLINE unexpected fail_in(const std::string& where, const error& why);

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/core/result.inl"  // IWYU pragma: keep
#endif
