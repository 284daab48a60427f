/// Memory a backend works in: aligned, grown when a larger call comes, never shrunk.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace g4::cpu {

class working_memory {
 public:
  /// At least `count` elements, aligned to a cache line. Earlier contents are gone once it has grown.
  template <class T>
  [[nodiscard]] T* take(std::size_t count) {
    if (count * sizeof(T) > bytes_) {
      memory_.reset(static_cast<std::byte*>(::operator new[](count * sizeof(T), alignment)));
      bytes_ = count * sizeof(T);  // known only once it is there: the next call may come after one without memory
    }
    return reinterpret_cast<T*>(memory_.get());
  }

  /// Has room for `count` elements from now on. Says whether there was memory.
  template <class T = std::byte>
  [[nodiscard]] bool make_ready(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes <= bytes_) return true;
    void* const made = ::operator new[](bytes, alignment, std::nothrow);
    if (made == nullptr) return false;
    memory_.reset(static_cast<std::byte*>(made));
    bytes_ = bytes;
    return true;
  }

 private:
  static constexpr std::align_val_t alignment{64};
  struct release {
    void operator()(std::byte* p) const { ::operator delete[](p, alignment); }
  };
  std::unique_ptr<std::byte[], release> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace g4::cpu
