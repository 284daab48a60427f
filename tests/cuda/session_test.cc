// Whole models on the kernels: as on the definitions, in every order, and a device's failure is a sentence.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/cuda_on_host.h"
#include "g4/backend/reference.h"
#include "g4/model/text/runner.h"
#include "kernels/cuda/inside.h"
#include "tests/model/session_checks.h"

namespace {

using namespace g4;
using backend::cuda_on_host;
using test::logits_of_all;
using test::some_ids;

template <class V, class B>
std::vector<std::vector<float>> everything(B& on, const test::random_checkpoint& checkpoint, session_options options) {
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, B>::make(*w, on, options);
  auto rows = logits_of_all(s, some_ids(24, V::vocab));
  EXPECT_TRUE(s.rewind(20));
  const auto last = *s.run(some_ids(9, V::vocab));
  rows.emplace_back(last.begin(), last.end());
  rows.emplace_back(s.hidden().begin(), s.hidden().end());
  return rows;
}

template <class V>
void expect_as_defined(session_options options, backend::numeric mode = backend::numeric::exact, float far = 2e-3f,
                       cache_choice kept = {}) {
  const test::random_checkpoint checkpoint(V::spec);
  backend::reference<float> defined;
  cuda_on_host in_order({.mode = mode}), drawn({.mode = mode, .seed = 5});
  const auto want = everything<V>(defined, checkpoint, options);
  if (kept.local) options.cache = kept;
  const auto got = everything<V>(in_order, checkpoint, options);
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t t = 0; t < want.size(); ++t) EXPECT_LT(test::largest_difference(got[t], want[t]), far) << t;
  EXPECT_EQ((everything<V>(drawn, checkpoint, options)), got);
  // Not to the bit, as if the same code had run twice; and far nearer than another row of the text is.
  EXPECT_NE(got, want);
  EXPECT_GT(test::largest_difference(got[3], want[4]), 2e-2f);
}

TEST(cuda_session, shared_keys_and_per_layer_inputs) { expect_as_defined<test::tiny_e2b>({.context = 40, .batch = 7}); }

TEST(cuda_session, a_cache_in_blocks) {
  session_options options{.context = 40, .batch = 7};
  options.cache.local = options.cache.global = storage::q8_0;
  // Where a number lies between two levels the last bit of a sum decides, and a level is 1/127 of its block's largest.
  expect_as_defined<test::tiny_wide_heads>(options, backend::numeric::exact, 1.5e-2f);
}

// Widths that panels hold.
// clang-format off
struct tiny_halves : transformer<
    shape{.layers = 4, .width = 64, .vocab = 97},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>, times<1, global<head{16}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{96}>,
    logits::soft_cap{30}> {};
// clang-format on

TEST(cuda_session, half_floats) {
  expect_as_defined<tiny_halves>({.context = 40, .batch = 7}, backend::numeric::fast);
  expect_as_defined<tiny_halves>({.context = 40, .batch = 7}, backend::numeric::fast, 2e-2f,
                                 {storage::f16, storage::f16});
}

// ---- Steps that are recorded -----------------------------------------------------------------------------------------

cache_choice halves_of(backend::numeric mode) {
  return mode == backend::numeric::exact ? cache_choice{} : cache_choice{storage::f16, storage::f16};
}

/// What a text of single tokens and of a few at a time leaves behind, and how many of its steps were replayed.
template <class V>
std::vector<std::vector<float>> decoded(const test::random_checkpoint& checkpoint, const gpu_options& choice,
                                        std::size_t& replayed) {
  cuda_on_host on(choice);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, cuda_on_host>::make(*w, on, {.context = 40, .batch = 12, .cache = halves_of(choice.mode)});
  std::vector<std::vector<float>> rows;
  const auto keep = [&](const auto& logits) {
    EXPECT_TRUE(logits) << (logits ? "" : logits.error().message);
    if (logits) rows.emplace_back(logits->begin(), logits->end());
  };
  const auto ids = some_ids(12, V::vocab);
  keep(s.run(ids));  // too many rows to be recorded
  for (std::size_t i = 0; i < 7; ++i) keep(s.run(ids[i]));
  for (std::size_t i = 0; i < 4; ++i) keep(s.run(std::span(ids).first(3)));
  EXPECT_TRUE(s.rewind(24));
  for (std::size_t i = 0; i < 4; ++i) {  // where the rings of local layers begin again
    for (auto& row : logits_of_all(s, {ids.begin(), ids.begin() + 2})) rows.push_back(row);
    keep(s.run(ids[i]));
  }
  replayed = on.device().in().replayed;
  return rows;
}

template <class V>
void expect_replayed_as_run(backend::numeric mode) {
  const test::random_checkpoint checkpoint(V::spec);
  std::size_t replayed = 0, none = 0;
  const auto want = decoded<V>(checkpoint, {.mode = mode, .record = false}, none);
  const auto got = decoded<V>(checkpoint, {.mode = mode, .seed = 4}, replayed);
  EXPECT_EQ(none, 0u);
  EXPECT_EQ(replayed, 6u + 3 + 3 + 4);  // of each kind of step but the first; single tokens come back
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i], want[i]) << i;
  EXPECT_NE(got[1], got[2]);
}

TEST(cuda_replay, gives_the_bits_of_a_step_that_is_run) {
  expect_replayed_as_run<test::tiny_e2b>(backend::numeric::exact);
  expect_replayed_as_run<tiny_halves>(backend::numeric::fast);
}
TEST(cuda_replay, gives_the_bits_with_experts) { expect_replayed_as_run<test::tiny_a4b>(backend::numeric::fast); }
TEST(cuda_replay, gives_the_bits_with_several_streams) {
  expect_replayed_as_run<test::tiny_3n>(backend::numeric::exact);
}

TEST(cuda_replay, knows_a_moved_session_and_another_one) {
  using V = tiny_halves;
  const test::random_checkpoint checkpoint(V::spec);
  cuda_on_host on({.mode = backend::numeric::fast});
  const auto w = checkpoint.load<V>(on);
  const auto ids = some_ids(6, V::vocab);
  const auto run = [&](auto& s) {
    std::vector<std::vector<float>> rows;
    for (const token_id id : ids) {
      const auto logits = *s.run(id);
      rows.emplace_back(logits.begin(), logits.end());
    }
    return rows;
  };
  auto a = *session<V, cuda_on_host>::make(*w, on, {.context = 16, .batch = 4, .cache = halves_of(on.mode())});
  const auto want = run(a);
  auto b = std::move(a);
  auto wide = *session<V, cuda_on_host>::make(
      *w, on, {.context = 900, .batch = 4, .cache = halves_of(on.mode())});  // its parts need more room
  ASSERT_TRUE(b.rewind(0));
  EXPECT_EQ(run(wide), want);
  EXPECT_EQ(run(b), want);
  auto other = *b.fork();
  ASSERT_TRUE(other.rewind(0));
  EXPECT_EQ(run(other), want);
}

TEST(cuda_replay, refuses_what_cannot_be_recorded) {
  cuda_on_host on;
  const auto memory = *on.take(64);
  auto* const x = reinterpret_cast<float*>(memory.data());
  const float one = 1;
  static_cast<void>(on.record([&] { on.put(&one, 1, x); }));
  const auto failed = on.failure();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "CUDA on the host: a copy from or to the host in the middle of a recording");
}

TEST(cuda_session, the_greatest_logits_alone_come_to_the_host) {
  using V = tiny_halves;
  const test::random_checkpoint checkpoint(V::spec);
  cuda_on_host on({.mode = backend::numeric::fast});
  const auto w = checkpoint.load<V>(on);
  auto all = *session<V, cuda_on_host>::make(*w, on, {.context = 16, .batch = 4});
  auto few = *session<V, cuda_on_host>::make(*w, on, {.context = 16, .batch = 4, .best_logits = 3});
  for (const token_id id : some_ids(6, V::vocab)) {
    const auto got = *few.run(id), want = *all.run(id);
    std::vector<float> sorted(want.begin(), want.end());
    std::ranges::sort(sorted, std::greater<>());
    ASSERT_EQ(got.size(), want.size());
    std::size_t known = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (std::isinf(got[i])) continue;
      ++known;
      EXPECT_EQ(got[i], want[i]);
      EXPECT_GE(got[i], sorted[2]);
    }
    EXPECT_EQ(known, 3u);
  }
}

TEST(cuda_session, rows_of_two_texts_share_a_pass_and_keep_their_bits) {
  using V = test::tiny_wide_heads;
  const test::random_checkpoint checkpoint(V::spec);
  cuda_on_host on({.seed = 3});
  const auto w = checkpoint.load<V>(on);
  const session_options options{.context = 16, .batch = 8};
  const auto all = some_ids(7, V::vocab);
  const std::vector<token_id> texts[] = {{all.begin(), all.begin() + 3}, {all.begin() + 3, all.end()}};
  auto runner = *text_runner<V, cuda_on_host>::make(*w, on, 8, 0);
  std::vector<text_cache<cuda_on_host>> caches;
  for (int i = 0; i < 2; ++i) caches.push_back(*text_cache<cuda_on_host>::make(on, V::spec, options));
  const cache_view* const of_texts[] = {caches[0].layers(), caches[1].layers()};
  const auto rows = runner.staged(7);
  stage_rows<V>(prompt_view<float>{texts[0]}, 0, 0, rows.first(3), 0);
  stage_rows<V>(prompt_view<float>{texts[1]}, 0, 0, rows.subspan(3), 1);
  const std::int32_t wanted[] = {2, 6};
  runner.run(7, of_texts, {}, wanted);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto together = runner.logits_of(runner.final_norm() + i * V::spec.width, 1);
    auto alone = *session<V, cuda_on_host>::make(*w, on, options);
    const auto logits = *alone.run(texts[i]);
    EXPECT_EQ(std::vector<float>(together.begin(), together.end()), std::vector<float>(logits.begin(), logits.end()));
  }
}

TEST(cuda_session, says_what_went_wrong_on_the_device) {
  using V = test::tiny_wide_heads;
  const test::random_checkpoint checkpoint(V::spec);
  cuda_on_host on;
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, cuda_on_host>::make(*w, on, {.context = 40, .batch = 7});
  const auto ids = some_ids(3, V::vocab);
  ASSERT_TRUE(s.run(ids));
  on.device().in().machine.launch(
      "broken",
      [] {
        if (threadIdx.x != 0) __syncwarp();
      },
      1, 32, 0);
  const auto failed = s.run(ids);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message,
            "CUDA on the host: broken: every thread waits for another: a barrier or a collective that not all reach");
  EXPECT_FALSE(s.run_all({ids}, [](std::size_t, auto) {}));
}

}  // namespace
