/// Memory as a host has it: what a backend takes, fills, copies and shows, where its memory is the program's own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "g4/core/result.h"

namespace g4::backend {

/// A block of the program's memory, aligned to a cache line; given back with the object.
class host_memory {
 public:
  static constexpr bool host_readable = true;  ///< whether the host may follow a pointer into it

  host_memory() = default;
  host_memory(void* block, std::size_t bytes) : block_(static_cast<std::byte*>(block)), bytes_(bytes) {}

  [[nodiscard]] std::byte* data() const { return block_.get(); }
  [[nodiscard]] std::size_t size() const { return bytes_; }

 private:
  struct release {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, release> block_;
  std::size_t bytes_ = 0;
};

/// The words of memory. All that operations read or write lies in blocks that `take` gave (or in weights that were
/// loaded); a model holds pointers into them and never looks behind one.
struct memory_definitions {
  using owned_memory = host_memory;

  /// A block of `bytes`, aligned to 64. Its contents are not set: pages that are never written are never used.
  [[nodiscard]] result<host_memory> take(std::size_t bytes) {
    constexpr std::size_t line = 64;
    if (bytes > static_cast<std::size_t>(-1) / 2) return fail("there is no memory for ", bytes, " bytes");
    const std::size_t whole = std::max(line, (bytes + line - 1) / line * line);
    void* const block = std::aligned_alloc(line, whole);
    if (block == nullptr) return fail("there is no memory for ", bytes, " bytes");
    return host_memory(block, whole);
  }

  /// Host numbers go to the backend's memory.
  template <class T>
  void put(const T* from, std::size_t n, T* to) {
    if (n != 0) std::memcpy(to, from, n * sizeof(T));
  }

  /// Numbers of the backend's memory where the host can read them: where they are, or else in `room` [n].
  template <class T>
  [[nodiscard]] const T* host(const T* p, std::size_t, T*) {
    return p;
  }

  /// y = x, both in the backend's memory; they may not overlap unless they are the same.
  template <class T>
  void copy(const T* x, std::size_t n, T* y) {
    if (n != 0 && x != y) std::memcpy(y, x, n * sizeof(T));
  }
};

}  // namespace g4::backend
