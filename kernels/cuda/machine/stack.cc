#include "kernels/cuda/machine/stack.h"

#include <sys/mman.h>

#include <cstdint>

#if !defined(__x86_64__) || defined(G4_MACHINE_UCONTEXT)
#include <ucontext.h>

#include <memory>
#endif

#ifdef G4_MACHINE_ASAN
extern "C" void __asan_unpoison_memory_region(const volatile void* at, std::size_t size);
#endif

namespace g4::cuda_machine {

namespace {

constexpr std::size_t page = 4096;

}  // namespace

stack_shelf::~stack_shelf() {
  for (std::byte* const bottom : all_) {
#ifdef G4_MACHINE_ASAN
    __asan_unpoison_memory_region(bottom, bytes);  // who was there last never returned, and the next map may lie here
#endif
    munmap(bottom - page, bytes + page);
  }
}

std::byte* stack_shelf::take() {
  if (!free_.empty()) {
    std::byte* const bottom = free_.back();
    free_.pop_back();
    return bottom;
  }
  void* const p =
      mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  mprotect(p, page, PROT_NONE);
  all_.push_back(static_cast<std::byte*>(p) + page);
  return all_.back();
}

#if defined(__x86_64__) && !defined(G4_MACHINE_UCONTEXT)

// The registers that a function must keep, and the stack: 15 instructions instead of the two system calls of swapcontext.
extern "C" void g4_switch_stack(void** save, void* to);
asm(R"(
.text
.type g4_switch_stack,@function
g4_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size g4_switch_stack,.-g4_switch_stack
)");

void switch_stacks(resume_point& from, const resume_point& to) { g4_switch_stack(&from.at, to.at); }

resume_point begin_on(std::byte* bottom, std::size_t bytes, void (*entry)()) {
  // Stacks begin at different lines of the caches: else all tops would fall into one set of each.
  const std::size_t colour = reinterpret_cast<std::uintptr_t>(bottom) / (bytes + page) % 32 * 128;
  auto** at = reinterpret_cast<void**>(bottom + bytes - colour);
  *--at = nullptr;  // at its entry a function finds the stack 8 short of a multiple of 16
  *--at = reinterpret_cast<void*>(entry);
  for (int kept = 0; kept < 6; ++kept) *--at = nullptr;
  return {at};
}

#else

// A context lies at the bottom of its stack; that of the thread itself has a place of its own.
void switch_stacks(resume_point& from, const resume_point& to) {
  static thread_local ucontext_t of_thread;
  if (from.at == nullptr) from.at = &of_thread;
  swapcontext(static_cast<ucontext_t*>(from.at), static_cast<const ucontext_t*>(to.at));
}

resume_point begin_on(std::byte* bottom, std::size_t bytes, void (*entry)()) {
  constexpr std::size_t room = (sizeof(ucontext_t) + 63) / 64 * 64;
  auto* const context = new (bottom) ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = bottom + room;
  context->uc_stack.ss_size = bytes - room;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return {context};
}

#endif

}  // namespace g4::cuda_machine
