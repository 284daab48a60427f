// After set-up, running tokens allocates nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#include "g4/model/text/session.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/tiny_variants.h"

#if defined(G4_WITH_CPU)
#include "g4/backend/cpu.h"
#endif

namespace {
std::atomic<std::size_t> allocations{0};
}

// Every way to ask the heap for memory in this program is counted. Inlined, g++ 12 takes the pairs for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t align) {
  ++allocations;
  const auto a = static_cast<std::size_t>(align);
  if (void* p = std::aligned_alloc(a, (size + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {

using namespace g4;

template <class V, class B>
std::size_t allocations_while_decoding(B& on) {
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, B>::make(*w, on, {.context = 64, .batch = 8});
  const std::vector<token_id> prompt{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  (void)s.run(prompt);
  (void)s.run(token_id{3});  // working memory has now seen a prompt and a step
  const std::size_t before = allocations;
  // Past the window and round the ring, but not one key more than attention has scored before: the context is the limit.
  for (token_id id = 0; id < 40; ++id) {
    if (!s.run(id)) ADD_FAILURE() << "token " << id;
  }
  return allocations - before;
}

TEST(decoding, the_count_sees_an_allocation) {
  const std::size_t before = allocations;
  const std::vector<std::size_t> three(3, before);
  EXPECT_EQ(allocations - before, 1u) << three.back();
}

#if defined(G4_WITH_CPU)
TEST(decoding, no_allocation_on_the_cpu_backend) {
  backend::cpu on;
  EXPECT_EQ((allocations_while_decoding<test::tiny_gemma3>(on)), 0u);
  EXPECT_EQ((allocations_while_decoding<test::tiny_e2b>(on)), 0u);
  EXPECT_EQ((allocations_while_decoding<test::tiny_a4b>(on)), 0u);
  EXPECT_EQ((allocations_while_decoding<test::tiny_3n>(on)), 0u);
}
#endif

}  // namespace
