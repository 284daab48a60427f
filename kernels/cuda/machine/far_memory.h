/// A device's memory on the host: neither readable nor writable but while a kernel or a copy runs.
///
/// A program that looks at a number itself ends with a segmentation fault at the line that does it, and so does a kernel
/// that goes beyond a block: it ends where a page begins that nobody may touch. Fresh memory is full of what no sum
/// survives.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace g4::cuda_machine {

class far_memory : public std::enable_shared_from_this<far_memory> {
 public:
  /// Null where there is no memory. It is given back with the last pointer.
  [[nodiscard]] std::shared_ptr<std::byte> take(std::size_t bytes) {
    const std::size_t whole = (bytes + page - 1) / page * page;
    void* const p =
        mmap(nullptr, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    auto* const first = static_cast<std::byte*>(p);
    std::memset(first, 0xff, whole);
    mprotect(first, whole + page, PROT_NONE);
    blocks_.emplace_back(first, whole);
    if (depth_ != 0) mprotect(first, whole, PROT_READ | PROT_WRITE);
    constexpr std::size_t line = 64;  // as far as the end is from the page behind it, at most
    return {first + whole - (bytes + line - 1) / line * line,
            [self = shared_from_this(), first](std::byte*) { self->release(first); }};
  }
  void open() {
    if (depth_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void shut() {
    if (--depth_ == 0) protect(PROT_NONE);
  }

  /// Kernels that were asked for may still be going to read.
  std::function<void()> before_any_is_given_back;

 private:
  static constexpr std::size_t page = 4096;

  void release(std::byte* first) {
    if (before_any_is_given_back) before_any_is_given_back();
    const auto found =
        std::find_if(blocks_.begin(), blocks_.end(), [first](const auto& b) { return b.first == first; });
    munmap(found->first, found->second + page);
    blocks_.erase(found);
  }
  void protect(int how) {
    for (const auto& [p, bytes] : blocks_) mprotect(p, bytes, how);
  }

  std::vector<std::pair<std::byte*, std::size_t>> blocks_;
  int depth_ = 0;
};

/// Open for as long as it lives.
class opened {
 public:
  explicit opened(far_memory& memory) : memory_(memory) { memory_.open(); }
  ~opened() { memory_.shut(); }
  opened(const opened&) = delete;
  opened& operator=(const opened&) = delete;

 private:
  far_memory& memory_;
};

}  // namespace g4::cuda_machine
