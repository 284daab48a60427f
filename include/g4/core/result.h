/// The outcome of anything that can be refused: a value, or one sentence that says why not.
///
/// The library throws nothing, prints nothing and aborts nothing; whatever reads a file, a configuration or a
/// user's option returns a `result<T>`. `result<T>` is `tl::expected`, or `std::expected` where the library has it.
#pragma once

#include <string>
#include <utility>
#include <version>

#if defined(__cpp_lib_expected)
#include <expected>
#else
#include <tl/expected.hpp>
#endif

#include "g4/core/printable.h"

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

/// `return fail("model.gguf: ", name, " is missing");` The pieces are strings or integers. What a file or a user wrote
/// may be among them: control characters come out as \n or \x1b, here and nowhere else.
template <class... Pieces>
[[nodiscard]] unexpected fail(const Pieces&... pieces) {
  std::string message;
  const auto append = [&message](const auto& piece) {
    if constexpr (requires { std::to_string(piece); }) {
      message += std::to_string(piece);
    } else {
      message += piece;
    }
  };
  (append(pieces), ...);
  return unexpected(error{printable(message)});
}

/// Puts a place in front of an error that was raised further down: `file.gguf: <what went wrong>`.
[[nodiscard]] inline unexpected fail_in(const std::string& where, const error& why) {
  return unexpected(error{printable(where + ": " + why.message)});
}

}  // namespace g4
