/// Memory that cannot be had, as an error like any other.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "g4/core/result.h"

namespace g4 {

/// body(), a result; where memory for it runs out, undo() and an error. The standard library's containers say so by an
/// exception, which ends here: every function of the library that a host calls and that may need memory stands in one
/// of these. What a host's own callback throws passes through.
///
/// Compiled without exceptions it is body() alone, and memory that runs out ends the program, as the standard library
/// has it then.
template <class Body, class Undo>
[[nodiscard]] auto guarded(Body&& body, Undo&& undo) -> decltype(body()) {
#if defined(__cpp_exceptions)
  try {
    return body();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {  // a size beyond any memory
  }
  undo();
  return unexpected(error{"out of memory"});  // short enough to need none
#else
  static_cast<void>(undo);
  return body();
#endif
}
template <class Body>
[[nodiscard]] auto guarded(Body&& body) -> decltype(body()) {
  return guarded(std::forward<Body>(body), [] {});
}

}  // namespace g4
