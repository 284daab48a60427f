/// How the owner of a weight's bytes hears that they are no longer needed.
#pragma once

#include <cstddef>
#include <span>

namespace g4 {

/// Told of bytes that a backend has moved elsewhere, so that a file's pages can be let go. They stay readable. Any thread
/// may tell; empty, it does nothing.
struct let_go {
  const void* self = nullptr;
  void (*tell)(const void* self, std::span<const std::byte> bytes) = nullptr;

  void operator()(std::span<const std::byte> bytes) const {
    if (tell != nullptr) tell(self, bytes);
  }
};

}  // namespace g4
