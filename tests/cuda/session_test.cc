// Whole models on the kernels: as on the definitions, in every order, and a device's failure is a sentence.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

// ---- Steps that the host does not wait for ---------------------------------------------------------------------------

/// The likeliest tokens behind a text, and what is left where it ends.
struct told {
  std::vector<token_id> chosen;
  std::vector<std::vector<float>> left;  ///< hidden, and logits of what comes then: of a token that is no choice, of others
  std::size_t size = 0;
};

/// The waiting loop is the definition.
struct waits {
  template <class S, class See>
  static void go_on(S& s, token_id id, std::size_t most, See see) {
    for (std::size_t i = 0; i < most; ++i) {
      const auto logits = *s.run(id);
      id = static_cast<token_id>(std::ranges::max_element(logits) - logits.begin());
      if (!see(id)) return;
    }
  }
};
struct runs_ahead {
  template <class S, class See>
  static void go_on(S& s, token_id id, std::size_t most, See see) {
    const auto logits = s.run_ahead(id, most, see);
    ASSERT_TRUE(logits) << logits.error().message;
    EXPECT_TRUE(logits->empty());
  }
};

/// Goes on until token number `end` was chosen or `most` were. `steps` counts the replayed ones.
template <class V, class How>
told greedy(const test::random_checkpoint& checkpoint, const gpu_options& choice, session_options options,
            std::size_t most, std::size_t end, std::size_t* steps = nullptr) {
  cuda_on_host on(choice);
  const auto w = checkpoint.load<V>(on);
  options.cache = halves_of(choice.mode);
  auto s = *session<V, cuda_on_host>::make(*w, on, options);
  const auto ids = some_ids(5, V::vocab);
  EXPECT_TRUE(s.run(ids));
  told t;
  const auto before = on.device().in().replayed;
  How::go_on(s, 3, most, [&](token_id id) {
    t.chosen.push_back(id);
    EXPECT_EQ(s.size(), 5 + t.chosen.size());  // as if no more had been run
    return t.chosen.size() < end;
  });
  if (steps != nullptr) *steps = on.device().in().replayed - before;
  t.size = s.size();
  const auto keep = [&](const auto& numbers) { t.left.emplace_back(numbers.begin(), numbers.end()); };
  keep(s.hidden());
  if (s.size() + 3 <= s.options().context) {
    for (auto& row : logits_of_all(s, {7, 1, 2})) t.left.push_back(row);
    EXPECT_TRUE(s.rewind(s.size() - 1));
    if (auto logits = s.run(4); logits) keep(*logits);
  }
  EXPECT_TRUE(on.failure()) << on.failure().error().message;
  return t;
}

/// Weights with which the model does not say the same again and again.
constexpr unsigned talkative = 3;

template <class V>
void expect_ahead_as_waiting(backend::numeric mode, const std::vector<std::array<std::size_t, 4>>& cases) {
  const test::random_checkpoint checkpoint(V::spec, talkative);
  for (const auto& [context, batch, most, end] : cases) {
    const session_options options{.context = context, .batch = batch};
    const std::size_t fits = std::min(most, context - 5);
    const auto want = greedy<V, waits>(checkpoint, {.mode = mode}, options, fits, end);
    const auto got = greedy<V, runs_ahead>(checkpoint, {.mode = mode, .seed = 2}, options, most, end);
    EXPECT_EQ(got.chosen, want.chosen);
    ASSERT_EQ(got.chosen.size(), std::min(fits, end));
    if (end > 3) {
      EXPECT_NE(got.chosen[1], got.chosen[3]);
    }
    EXPECT_EQ(got.size, want.size);
    EXPECT_EQ(got.left, want.left);
  }
}

TEST(cuda_ahead, chooses_as_the_waiting_loop_and_leaves_as_much) {
  // Where a ring has gone round, one row at a time, at the context's end.
  expect_ahead_as_waiting<test::tiny_e2b>(backend::numeric::exact, {{40, 5, 30, 24}, {40, 1, 12, 9}, {20, 7, 30, 30}});
  // At once, in the middle, at the most.
  expect_ahead_as_waiting<tiny_halves>(backend::numeric::fast, {{40, 7, 30, 1}, {40, 7, 30, 6}, {40, 7, 4, 9}});
}

TEST(cuda_ahead, has_asked_for_two_steps_more_than_it_has_seen) {
  using V = tiny_halves;
  const test::random_checkpoint checkpoint(V::spec, talkative);
  const session_options options{.context = 40, .batch = 7};
  std::size_t waiting = 0, ahead = 0, to_the_end = 0, run = 0;
  const auto want = greedy<V, waits>(checkpoint, {}, options, 30, 10, &waiting);
  const auto got = greedy<V, runs_ahead>(checkpoint, {}, options, 30, 10, &ahead);
  EXPECT_EQ(waiting, 9u);  // of ten steps the first is only run
  EXPECT_EQ(ahead, 11u);   // two were for nothing; the last token's hidden row is then made once more, by a step of its own kind
  static_cast<void>(greedy<V, runs_ahead>(checkpoint, {}, options, 10, 30, &to_the_end));
  EXPECT_EQ(to_the_end, 9u);  // where the end is known nothing is
  const auto plain = greedy<V, runs_ahead>(checkpoint, {.record = false}, options, 30, 10, &run);
  EXPECT_EQ(run, 0u);
  EXPECT_EQ(got.left, want.left);
  EXPECT_EQ(plain.left, want.left);
  const auto beyond = greedy<V, waits>(checkpoint, {}, options, 30, 12);  // had those two steps stayed
  EXPECT_NE(beyond.left[0], want.left[0]);
  EXPECT_NE(beyond.left[1], want.left[1]);
  EXPECT_EQ(plain.chosen, want.chosen);
}

TEST(cuda_ahead, hands_the_logits_over_where_the_host_must_look_at_them) {
  using V = test::tiny_e2b;
  const test::random_checkpoint checkpoint(V::spec);
  const auto all = greedy<V, waits>(checkpoint, {}, {.context = 40, .batch = 7}, 10, 10);
  // A file may leave out the table's last rows: here from the greatest of those that are chosen on.
  const auto unknown = std::max_element(all.chosen.begin() + 3, all.chosen.end());
  ASSERT_LT(*std::max_element(all.chosen.begin(), unknown), *unknown);
  cuda_on_host on;
  const auto w = checkpoint.load<V>(on);
  const_cast<weights<V>&>(*w).embed.rows = static_cast<std::size_t>(*unknown);
  auto s = *session<V, cuda_on_host>::make(*w, on, {.context = 40, .batch = 7});
  ASSERT_TRUE(s.run(some_ids(5, V::vocab)));
  std::vector<token_id> chosen;
  const auto logits = s.run_ahead(3, 12, [&](token_id id) { return chosen.push_back(id), true; });
  ASSERT_TRUE(logits) << logits.error().message;
  ASSERT_EQ(logits->size(), static_cast<std::size_t>(V::vocab));
  EXPECT_EQ(chosen, std::vector<token_id>(all.chosen.begin(), unknown));
  EXPECT_EQ(std::ranges::max_element(*logits) - logits->begin(), *unknown);
  EXPECT_EQ(s.size(), 5 + chosen.size() + 1);
  const std::vector<float> handed(logits->begin(), logits->end());
  ASSERT_TRUE(s.rewind(s.size() - 1));
  const auto again = *s.run(chosen.back());
  EXPECT_EQ(handed, std::vector<float>(again.begin(), again.end()));
}

TEST(cuda_ahead, a_watched_session_and_one_that_embeds_apart_wait) {
  using V = tiny_halves;
  const test::random_checkpoint checkpoint(V::spec);
  cuda_on_host on;
  const auto w = checkpoint.load<V>(on);
  for (const bool watched : {true, false}) {
    auto s = *session<V, cuda_on_host>::make(*w, on, {.context = 40, .batch = 7});
    const auto rows = *on.take(V::width * sizeof(float));
    const own_rows<float> apart{90, 1, reinterpret_cast<float*>(rows.data())};
    if (watched) s.watch({nullptr, [](void*, const tapped<float>&) {}});
    if (!watched) s.embed_apart(apart);
    const auto logits = s.run_ahead(3, 4, [](token_id) -> bool { ADD_FAILURE() << "is not asked"; return true; });
    ASSERT_TRUE(logits);
    EXPECT_EQ(logits->size(), static_cast<std::size_t>(V::vocab));
  }
}

TEST(cuda_ahead, refuses_what_run_refuses) {
  using V = tiny_halves;
  const test::random_checkpoint checkpoint(V::spec);
  cuda_on_host on;
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, cuda_on_host>::make(*w, on, {.context = 2, .batch = 1});
  const auto nobody = [](token_id) { return true; };
  EXPECT_EQ(s.run_ahead(97, 2, nobody).error().message, "session: token id 97 is outside the vocabulary of 97");
  ASSERT_TRUE(s.run_ahead(3, 9, nobody));
  EXPECT_EQ(s.size(), 2u);
  EXPECT_TRUE(s.run_ahead(3, 1, nobody).error().message.starts_with("session: the context of 2 tokens is full"));
}

TEST(cuda_ahead, a_token_is_received_once_and_not_before_it_is_sent) {
  for (const bool twice : {false, true}) {
    cuda_on_host on;
    const auto memory = *on.take(64);
    auto* const id = reinterpret_cast<token_id*>(memory.data());
    const token_id seven = 7;
    on.put(&seven, 1, id);
    const auto box = *on.mailbox_of(2);
    on.send(box, 1, id);
    if (twice) {
      on.send(box, 1, id);
    } else {
      EXPECT_EQ(*on.receive(box, 1), 7);
    }
    const auto failed = on.receive(box, 1);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().message,
              twice ? "CUDA on the host: a token was sent to a slot that holds one nobody has received"
                    : "CUDA on the host: a token was to be received from a slot that nobody has sent one to");
  }
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
