// After set-up, running tokens allocates nothing. Whatever does allocate may be refused, each time in turn, and says so.
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "g4/backend/pool.h"
#include "g4/backend/reference.h"
#include "g4/generate/generate.h"
#include "g4/generate/lookup.h"
#include "g4/generate/speculate.h"
#include "g4/model/text/session.h"
#include "g4/open/any_model.h"
#include "g4/open/open.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/tiny_variants.h"

#if defined(G4_WITH_CPU)
#include "g4/backend/cpu.h"
#endif

namespace {
std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> refused{0};  // the number of the one that is not granted; 0: all are

bool granted() { return ++allocations != refused; }
}  // namespace

// Every way to ask the heap for memory in this program is counted. Inlined, g++ 12 takes the pairs for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (granted()) {
    if (void* p = std::malloc(size)) return p;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t align) {
  void* p = nullptr;
  if (granted() && posix_memalign(&p, static_cast<std::size_t>(align), size) == 0) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* aligned_alloc(std::size_t align, std::size_t size) noexcept {
  void* p = nullptr;
  return granted() && posix_memalign(&p, align, size) == 0 ? p : nullptr;
}
#endif

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

// ---- memory that runs out, at every allocation in turn ----

/// Calls body() with its n-th allocation refused, for n = 1, 2, … until it needs no more than are granted; then it must
/// succeed. The number of refusals.
template <class Body>
std::size_t each_refused(Body body) {
  for (std::size_t n = 1;; ++n) {
    allocations = 0;
    refused = n;
    const bool well = body();
    const bool met = allocations >= n;
    refused = 0;
    if (met) continue;
    EXPECT_TRUE(well);
    return n - 1;
  }
}

using small = test::tiny_gemma3;

/// A checkpoint on disk as far as its vocabulary goes, and in memory for the rest.
class running_out_of_memory : public testing::Test {
 protected:
  running_out_of_memory() {
    folder_ = std::filesystem::temp_directory_path() / ("g4_allocation_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "tokenizer.json") << R"({
      "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
      "added_tokens": [{"id": 0, "content": "<pad>", "special": true}, {"id": 1, "content": "<eos>", "special": true},
                       {"id": 2, "content": "<bos>", "special": true}, {"id": 3, "content": "<unk>", "special": true}],
      "model": {"type": "BPE", "unk_token": "<unk>",
                "vocab": {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "\u2581": 7},
                "merges": ["a b"]}})";
    from_.path = folder_.string();
    from_.format = load::format::safetensors;
    from_.spec = small::spec;
    from_.tensors = file_.file();
  }
  ~running_out_of_memory() override { std::filesystem::remove_all(folder_); }

  template <class B>
  void expect_errors_and_no_harm() {
    B on;
    EXPECT_GT(each_refused([&] { return open<small>(from_, on).has_value(); }), 50u);
    const auto opened = open<small>(from_, on);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_GT(each_refused([&] { return opened->session(options_).has_value(); }), 2u);

    std::vector<float> expected;
    const auto right = [&](auto& s) {
      const auto logits = s.run(prompt_);
      return logits && std::vector<float>(logits->begin(), logits->end()) == expected;
    };
    // A fresh backend has its working memory still to take.
    const auto with_fresh = [&](auto call) {
      return [&, call] {
        const std::size_t at = refused.exchange(0);
        B fresh;
        auto s = *session<small, B>::make(opened->weights(), fresh, options_);
        if (expected.empty()) {
          const auto logits = *s.run(prompt_);
          expected.assign(logits.begin(), logits.end());
          EXPECT_TRUE(s.rewind(0));
        }
        allocations = 0;
        refused = at;
        const bool well = call(s);
        refused = 0;
        const std::size_t needed = allocations;
        EXPECT_TRUE(s.rewind(0));
        EXPECT_TRUE(right(s)) << "after allocation " << at;
        allocations = needed;
        return well;
      };
    };
    each_refused(with_fresh([&](auto& s) {
      const bool well = s.run(prompt_).has_value();
      EXPECT_EQ(s.size(), well ? prompt_.size() : 0u);
      return well;
    }));
    const auto& vocabulary = opened->tokenizer();
    EXPECT_GT(each_refused(with_fresh([&](auto& s) {
                return generate(s, vocabulary, "ab a b", {.max_tokens = 5, .stop_at_end = false}, [](auto) {}).has_value();
              })),
              3u);
    EXPECT_GT(each_refused(with_fresh([&](auto& s) {
                prompt_lookup lookup;
                return speculate(s, prompt_, 6, 3, guess_by(lookup), [](token_id) { return true; }).has_value();
              })),
              3u);
  }

  std::filesystem::path folder_;
  const test::random_checkpoint file_{small::spec};
  checkpoint from_;
  const session_options options_{.context = 64, .batch = 8};
  const std::vector<token_id> prompt_{2, 4, 5, 4, 5, 6, 7, 4, 5, 4};
};

TEST_F(running_out_of_memory, is_an_error_and_no_harm_on_the_reference) {
  expect_errors_and_no_harm<backend::reference<float>>();
}
#if defined(G4_WITH_CPU)
TEST_F(running_out_of_memory, is_an_error_and_no_harm_on_the_cpu) { expect_errors_and_no_harm<backend::cpu>(); }
#endif

TEST_F(running_out_of_memory, while_a_file_is_opened_is_an_error) {
  // No model, which is found out at the end of the header.
  const std::string path = std::string(G4_SOURCE_DIR) + "/tests/text/data/scores.gguf";
  EXPECT_GT(each_refused([&] { return !open_checkpoint(path).has_value(); }), 3u);
}

TEST_F(running_out_of_memory, while_tokens_are_found_is_an_error) {
  const auto vocabulary = from_.tokenizer();
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_GT(each_refused([&] { return vocabulary->encode("ab<eos> a", {.parse_special = true}).has_value(); }), 2u);
}

TEST_F(running_out_of_memory, while_threads_are_made_leaves_fewer) {
  const std::size_t refusals = each_refused([&] {
    thread_pool threads(4);
    std::atomic<int> done{0};
    threads.run(100, [&](std::size_t, std::size_t worker) { done += worker < threads.workers() ? 1 : 1000; });
    return done == 100 && threads.workers() == 4;
  });
  EXPECT_GE(refusals, 4u);
}

TEST_F(running_out_of_memory, does_not_come_of_a_limit_beyond_the_context) {
  backend::reference<float> on;
  const auto opened = open<small>(from_, on);
  ASSERT_TRUE(opened);
  auto s = *opened->session({.context = 16, .batch = 8});
  const auto done = generate(s, opened->tokenizer(), "ab", {.max_tokens = std::size_t(-1), .stop_at_end = false}, [](auto) {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->stopped, stop_reason::context_full);
}

}  // namespace
