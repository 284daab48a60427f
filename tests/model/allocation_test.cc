// After set-up, running tokens allocates nothing. Whatever does allocate may be refused, each time in turn, and says
// so.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/backend/pool.h"
#include "g4/backend/reference.h"
#include "g4/generate/batch.h"
#include "g4/generate/generate.h"
#include "g4/generate/lookup.h"
#include "g4/generate/speculate.h"
#include "g4/model/text/session.h"
#include "g4/open/any_model.h"
#include "g4/open/open.h"
#include "g4/text/tokenizer_builder.h"
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
// Of the library's stable_sort, which does without.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
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

/// From the first token on: a prompt longer than a batch, then steps past the window and round the ring to the end of the
/// context.
template <class V, class B>
std::size_t allocations_while_running(B& on, std::size_t best_logits = 0) {
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, B>::make(*w, on, {.context = 300, .batch = 24, .best_logits = best_logits});
  const std::vector<token_id> prompt(70, 3);
  const std::size_t before = allocations;
  if (!s.run(prompt)) ADD_FAILURE() << "the prompt";
  for (std::size_t t = prompt.size(); t < 300; ++t) {
    if (!s.run(static_cast<token_id>(t % 7))) ADD_FAILURE() << "token " << t;
  }
  return allocations - before;
}

/// Prompts longer than their share of a step beside answers, past the window and round the ring, once the texts have joined.
template <class V, class B>
std::size_t allocations_while_stepping(B& on) {
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  text::tokenizer_builder builder({.byte_fallback = false});
  builder.piece(0, "<unk>", text::piece_kind::unknown);
  const text::tokenizer vocabulary = *builder.build({.unknown = 0});
  auto texts = *batch<V, B>::make(*w, vocabulary, on, {.texts = 3, .context = 120, .rows = 24});
  for (std::size_t i = 0; i < 3; ++i) {
    const std::vector<token_id> prompt(1 + 30 * i, 3);
    const generate_options options{.max_tokens = 50, .sampling = {.temperature = i == 1 ? 1.0f : 0.0f}};
    if (!texts.join(std::span(prompt), options, [](std::string_view) {})) ADD_FAILURE() << "text " << i;
  }
  const std::size_t before = allocations;
  while (texts.running() > 0) {
    if (!texts.step()) ADD_FAILURE() << "a step";
  }
  return allocations - before;
}

TEST(decoding, the_count_sees_an_allocation) {
  const std::size_t before = allocations;
  const std::vector<std::size_t> three(3, before);
  EXPECT_EQ(allocations - before, 1u) << three.back();
}

#if defined(G4_WITH_CPU)
TEST(decoding, takes_no_memory_after_the_session_was_made) {
  thread_pool threads(3);
  for (const auto mode : {backend::numeric::exact, backend::numeric::fast, backend::numeric::fast8}) {
    const auto fresh = [&] { return backend::cpu({.mode = mode, .pool = &threads}); };
    const auto expect_none = [&]<class V>(std::size_t best_logits = 0) {
      backend::cpu on = fresh();
      EXPECT_EQ((allocations_while_running<V>(on, best_logits)), 0u) << V::width << " wide";
    };
    backend::cpu shared = fresh();
    EXPECT_EQ((allocations_while_stepping<test::tiny_e2b>(shared)), 0u) << "a batch";
    expect_none.template operator()<test::tiny_gemma3>();
    expect_none.template operator()<test::tiny_gemma3>(1);
    expect_none.template operator()<test::tiny_e2b>();
    expect_none.template operator()<test::tiny_a4b>();
    expect_none.template operator()<test::tiny_3n>();
  }
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
    // One more where aligned_alloc is counted too.
    EXPECT_GT(each_refused([&] { return opened->session(options_).has_value(); }), 1u);

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
                const generate_options five{.max_tokens = 5, .stop_at_end = false};
                return generate(s, vocabulary, "ab a b", five, [](auto) {}).has_value();
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
  EXPECT_GE(refusals, 3u);  // one more where aligned_alloc is counted too
}

TEST_F(running_out_of_memory, does_not_come_of_a_limit_beyond_the_context) {
  backend::reference<float> on;
  const auto opened = open<small>(from_, on);
  ASSERT_TRUE(opened);
  auto s = *opened->session({.context = 16, .batch = 8});
  const generate_options endless{.max_tokens = std::size_t(-1), .stop_at_end = false};
  const auto done = generate(s, opened->tokenizer(), "ab", endless, [](auto) {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->stopped, stop_reason::context_full);
}

// ---- histories ----

/// A session after a random history, against a fresh one that runs what the first must hold.
template <class V, class B>
class history {
 public:
  history(const weights<V>& w, B& on, unsigned seed, float limit)
      : w_(w), on_(on), random_(seed), limit_(limit), batch_(4 + some(9)) {
    session_.emplace(*session<V, B>::make(w, on, {.context = context, .batch = batch_}));
  }

  void go(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      switch (some(8)) {
        case 0:
        case 1: run(some_ids(1 + some(2 * batch_))); break;
        case 2: run(some_ids(1)); break;
        case 3: run_all(some_ids(1 + some(2 * batch_))); break;
        case 4:
        case 5: rewind(some(text_.size() + 2)); break;
        case 6: speculate_some(); break;
        default: fail_somehow();
      }
    }
  }
  [[nodiscard]] std::size_t compared() const { return compared_; }

 private:
  static constexpr std::size_t context = 48;

  std::size_t some(std::size_t below) { return random_() % below; }
  std::vector<token_id> some_ids(std::size_t count) {
    std::vector<token_id> ids(count);
    for (token_id& id : ids) id = static_cast<token_id>(some(std::min(V::vocab, 7)));  // few, so that guesses come true
    return ids;
  }
  std::vector<token_id> with(const std::vector<token_id>& more) const {
    std::vector<token_id> all = text_;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void went(const std::vector<token_id>& more) {
    text_ = with(more);
    least_furthest_ = std::max(least_furthest_, text_.size());
    most_furthest_ = std::max(most_furthest_, text_.size());
  }
  void expect_same(std::span<const float> found, std::span<const float> fresh, const char* after) {
    ASSERT_EQ(found.size(), fresh.size());
    float most = 0;
    for (std::size_t i = 0; i < found.size(); ++i) most = std::max(most, std::abs(found[i] - fresh[i]));
    EXPECT_LE(most, limit_) << after << " at " << text_.size() << " tokens, batch " << batch_;
    ++compared_;
  }
  void expect_as_fresh(std::span<const float> found, const char* after) {
    auto fresh = *session<V, B>::make(w_, on_, {.context = context, .batch = batch_});
    const std::vector<float> kept(found.begin(), found.end());
    const auto logits = fresh.run(text_);
    ASSERT_TRUE(logits);
    expect_same(kept, *logits, after);
  }
  [[nodiscard]] bool fits(const std::vector<token_id>& ids) const { return text_.size() + ids.size() <= context; }

  void run(const std::vector<token_id>& ids) {
    const auto logits = session_->run(ids);
    ASSERT_EQ(logits.has_value(), fits(ids));
    if (!logits) return;
    went(ids);
    expect_as_fresh(*logits, "run");
  }
  void run_all(const std::vector<token_id>& ids) {
    std::vector<std::vector<float>> rows;
    const auto ran = session_->run_all({ids}, [&](std::size_t, auto l) { rows.emplace_back(l.begin(), l.end()); });
    ASSERT_EQ(ran.has_value(), fits(ids));
    if (!ran) return;
    went(ids);
    ASSERT_EQ(rows.size(), ids.size());
    expect_as_fresh(rows.back(), "run_all");
  }
  void rewind(std::size_t size) {
    const bool done = session_->rewind(size).has_value();
    if (size > text_.size()) {
      EXPECT_FALSE(done);
      return;
    }
    const bool surely = size == 0 || most_furthest_ - size <= batch_;
    const bool surely_not = size != 0 && least_furthest_ > size + batch_;
    EXPECT_FALSE((surely && !done) || (surely_not && done))
        << size << " of " << text_.size() << ", furthest " << least_furthest_ << " to " << most_furthest_ << ", batch "
        << batch_;
    if (!done) return;
    text_.resize(size);
    if (size == 0) least_furthest_ = most_furthest_ = 0;
  }
  void speculate_some() {
    prompt_lookup lookup;
    const auto prompt = some_ids(1 + some(4));
    const std::size_t stop = some(9);
    std::size_t heard = 0;
    const auto done = speculate(*session_, prompt, 1 + some(8), some(batch_), guess_by(lookup),
                                [&](token_id) { return ++heard != stop; });
    ASSERT_EQ(done.has_value(), fits(prompt)) << (done ? "" : done.error().message);
    if (!done) return;
    std::vector<token_id> held = prompt;
    held.insert(held.end(), done->tokens.begin(), done->tokens.end() - 1);
    const std::size_t before = text_.size();
    went(held);
    most_furthest_ = std::max(most_furthest_, std::min(context, text_.size() + batch_));
    ASSERT_EQ(session_->size(), text_.size());
    // Every token is the greedy choice of a session that never guessed.
    auto fresh = *session<V, B>::make(w_, on_, {.context = context, .batch = batch_});
    auto logits = fresh.run(std::span<const token_id>(text_).first(before + prompt.size()));
    for (std::size_t i = 0; i < done->tokens.size(); ++i) {
      const auto best = std::max_element(logits->begin(), logits->end());
      EXPECT_LE(*best - (*logits)[static_cast<std::size_t>(done->tokens[i])], limit_) << "token " << i;
      if (i + 1 < done->tokens.size()) logits = fresh.run(done->tokens[i]);
    }
    ++compared_;
  }
  void fail_somehow() {
    auto ids = some_ids(1 + some(2 * batch_));
    const std::size_t before = text_.size();
    if (some(3) == 0) {
      allocations = 0;
      refused = 1 + some(4);
      const auto logits = session_->run(ids);
      refused = 0;
      if (logits) {
        went(ids);
        return expect_as_fresh(*logits, "run in little memory");
      }
      if (!fits(ids)) return;
      most_furthest_ = std::max(most_furthest_, before + ids.size());
      if (session_->size() == 0) {
        text_.clear();
        least_furthest_ = most_furthest_ = 0;
      }
      ASSERT_EQ(session_->size(), text_.size());
      return;
    }
    ids[some(ids.size())] = some(2) == 0 ? -1 : V::vocab;
    EXPECT_FALSE(session_->run(ids));
    EXPECT_FALSE(session_->run(std::span<const token_id>{}));
    EXPECT_EQ(session_->size(), before);
  }

  const weights<V>& w_;
  B& on_;
  std::mt19937 random_;
  float limit_;
  std::size_t batch_;
  std::optional<session<V, B>> session_;
  std::vector<token_id> text_;
  // How far the cache was ever written, as far as that is known from outside.
  std::size_t least_furthest_ = 0;
  std::size_t most_furthest_ = 0;
  std::size_t compared_ = 0;
};

/// G4_HISTORIES says how many; a few by default.
template <class V, class B>
void expect_histories_leave_no_trace(B& on, float limit) {
  const char* const asked = std::getenv("G4_HISTORIES");
  const unsigned count = asked == nullptr ? 12 : static_cast<unsigned>(std::atoi(asked));
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  std::size_t compared = 0;
  for (unsigned seed = 1; seed <= count && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("history " + std::to_string(seed));
    history<V, B> one(*w, on, seed, limit);
    one.go(40);
    compared += one.compared();
  }
  EXPECT_GT(compared, 5 * count);
}

TEST(session_after_any_history, is_a_fresh_one_on_the_reference) {
  backend::reference<float> on;
  expect_histories_leave_no_trace<test::tiny_gemma3>(on, 1e-4f);
}
#if defined(G4_WITH_CPU)
TEST(session_after_any_history, is_a_fresh_one_on_the_cpu) {
  backend::cpu on({.mode = backend::numeric::exact});
  expect_histories_leave_no_trace<test::tiny_e2b>(on, 1e-4f);
}
TEST(session_after_any_history, is_a_fresh_one_in_fast_mode) {
  backend::cpu on({.mode = backend::numeric::fast});
  expect_histories_leave_no_trace<test::tiny_gemma3>(on, 2e-3f);
}
#endif

}  // namespace
