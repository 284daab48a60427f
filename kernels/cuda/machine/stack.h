/// Another stack to run on: what a fibre is made of.
#pragma once

#include <cstddef>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define G4_MACHINE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define G4_MACHINE_ASAN 1
#endif
#endif

namespace g4::cuda_machine {

/// Where a fibre stopped: its stack pointer, or all of its context where there is no switch of our own for the CPU.
struct resume_point {
  void* at = nullptr;
};

/// Leaves the running stack, noting where, and goes on at `to`.
void switch_stacks(resume_point& from, const resume_point& to);

/// A point at the beginning of `entry`, which never returns, on the stack [bottom, bottom + bytes).
[[nodiscard]] resume_point begin_on(std::byte* bottom, std::size_t bytes, void (*entry)());

/// Stacks with a page in front that may not be touched; they are kept and used again.
class stack_shelf {
 public:
#if defined(G4_MACHINE_ASAN) || defined(__SANITIZE_THREAD__)
  static constexpr std::size_t bytes = std::size_t{256} << 10;
#else
  static constexpr std::size_t bytes = std::size_t{64} << 10;
#endif
  stack_shelf() = default;
  stack_shelf(const stack_shelf&) = delete;
  stack_shelf& operator=(const stack_shelf&) = delete;
  ~stack_shelf();

  /// The bottom of a stack, or null where there is no memory for one.
  [[nodiscard]] std::byte* take();
  void give_back(std::byte* bottom) { free_.push_back(bottom); }

 private:
  std::vector<std::byte*> all_;
  std::vector<std::byte*> free_;
};

}  // namespace g4::cuda_machine
