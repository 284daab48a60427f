// A text's logits do not depend on how it was cut into runs; sessions do not disturb each other; refusals are clear.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/backend/reference.h"
#include "tests/model/session_checks.h"

namespace {

using namespace g4;
using test::expect_cutting_does_not_matter;
using test::largest_difference;
using test::logits_of_all;
using test::some_ids;

template <class V>
class every_decoder : public testing::Test {};
TYPED_TEST_SUITE(every_decoder, test::decoders);

TYPED_TEST(every_decoder, prefill_decode_and_chunks_agree_on_the_reference_backend) {
  backend::reference<float> on;
  expect_cutting_does_not_matter<TypeParam>(on, 2e-4f);
}

TYPED_TEST(every_decoder, prefill_decode_and_chunks_agree_in_double) {
  backend::reference<double> on;
  expect_cutting_does_not_matter<TypeParam>(on, 1e-6f);  // compared as floats
}

TYPED_TEST(every_decoder, a_window_that_is_ignored_would_be_seen) {
  // The negative control of the tests above: the first token must matter inside the window's reach and logits vary.
  using V = TypeParam;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.template load<V>(on);
  auto ids = some_ids(6, V::vocab);
  auto a = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 16});
  const auto first = logits_of_all(a, ids);
  ids[0] = (ids[0] + 1) % V::vocab;
  auto b = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 16});
  EXPECT_GT(largest_difference(logits_of_all(b, ids).back(), first.back()), 1e-3f);
}

TYPED_TEST(every_decoder, rewinding_leaves_no_trace) {
  using V = TypeParam;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.template load<V>(on);
  const auto ids = some_ids(30, V::vocab);
  auto straight = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 6});
  const auto expected = logits_of_all(straight, ids);
  auto winding = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 6});
  for (std::size_t t = 0; t < ids.size(); t += 2) {
    std::vector<token_id> wrong(ids.begin() + static_cast<std::ptrdiff_t>(t),
                                ids.begin() + static_cast<std::ptrdiff_t>(t + 2));
    wrong.insert(wrong.end(), {1, 2, 3, 4});
    const auto rows = logits_of_all(winding, wrong);
    ASSERT_LE(largest_difference(rows[1], expected[t + 1]), 2e-4f) << "token " << t + 1;
    ASSERT_TRUE(winding.rewind(t + 2));
  }
}

TYPED_TEST(every_decoder, two_sessions_on_one_set_of_weights_do_not_disturb_each_other) {
  using V = TypeParam;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.template load<V>(on);
  const auto ids = some_ids(20, V::vocab);
  std::vector<token_id> other(ids.rbegin(), ids.rend());
  auto alone = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 8});
  std::vector<std::vector<float>> expected;
  for (const token_id id : ids) {
    const auto logits = *alone.run(id);
    expected.emplace_back(logits.begin(), logits.end());
  }
  auto one = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 8});
  auto two = *session<V, backend::reference<float>>::make(*w, on, {.context = 40, .batch = 8});
  for (std::size_t t = 0; t < ids.size(); ++t) {
    ASSERT_TRUE(two.run(other[t]));
    const auto logits = *one.run(ids[t]);
    ASSERT_EQ(largest_difference({logits.begin(), logits.end()}, expected[t]), 0.0f);
    ASSERT_TRUE(two.run(other[t]));
  }
}

TEST(encoder, a_text_does_not_remember_the_one_before) {
  using V = test::tiny_encoder;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = 4});
  const auto ids = some_ids(13, V::vocab);
  const auto first = logits_of_all(s, ids);
  logits_of_all(s, some_ids(19, V::vocab));
  const auto again = logits_of_all(s, ids);
  for (std::size_t t = 0; t < ids.size(); ++t) EXPECT_EQ(largest_difference(first[t], again[t]), 0.0f);
}

TEST(encoder, the_last_token_reaches_the_first) {
  using V = test::tiny_encoder;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = 20});
  auto ids = some_ids(13, V::vocab);
  const auto before = logits_of_all(s, ids);
  ids.back() = (ids.back() + 1) % V::vocab;
  EXPECT_GT(largest_difference(before[0], logits_of_all(s, ids)[0]), 1e-4f);
}

TEST(image_runs, on_local_layers_only_in_gemma4) {
  // Four image tokens after two of text: with the mask, the image's first token sees its last one.
  using V = test::tiny_a4b;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto ids = some_ids(8, V::vocab);
  const std::vector<std::int32_t> run{0, 0, 1, 1, 1, 1, 0, 0};
  const auto rows_of = [&](std::size_t batch) {
    auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = batch});
    std::vector<std::vector<float>> rows;
    const auto ran = s.run_all({ids, run, {}, {}}, [&](std::size_t, auto l) { rows.emplace_back(l.begin(), l.end()); });
    EXPECT_TRUE(ran) << ran.error().message;
    return rows;
  };
  const auto whole = rows_of(8);
  const auto cut = rows_of(5);  // a chunk boundary moves in front of the image
  for (std::size_t t = 0; t < ids.size(); ++t) EXPECT_LE(largest_difference(whole[t], cut[t]), 2e-4f) << t;
  ids[5] = (ids[5] + 1) % V::vocab;
  const auto changed = rows_of(8);
  EXPECT_GT(largest_difference(whole[2], changed[2]), 1e-4f);
  EXPECT_EQ(largest_difference(whole[1], changed[1]), 0.0f) << "text before the image is causal";
}

TEST(image_runs, an_image_longer_than_the_batch_is_refused) {
  using V = test::tiny_a4b;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = 3});
  const auto ids = some_ids(6, V::vocab);
  const std::vector<std::int32_t> run{1, 1, 1, 1, 1, 0};
  const auto ran = s.run({ids, run, {}, {}});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message, "session: an image has more tokens than the batch of 3");
}

TEST(session, says_what_it_refuses) {
  using V = test::tiny_gemma3;
  using on_type = backend::reference<float>;
  on_type on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, on_type>::make(*w, on, {.context = 4, .batch = 2});
  EXPECT_EQ(s.run(token_id{97}).error().message, "session: token id 97 is outside the vocabulary of 97");
  EXPECT_EQ(s.run(token_id{-1}).error().message, "session: token id -1 is outside the vocabulary of 97");
  EXPECT_EQ(s.run(std::span<const token_id>{}).error().message, "session: there is nothing to run");
  ASSERT_TRUE(s.run(some_ids(3, 97)));
  EXPECT_EQ(s.run(some_ids(2, 97)).error().message,
            "session: the context of 4 tokens is full: 3 are in it and 2 more were given");
  EXPECT_EQ(s.size(), 3u);
  EXPECT_EQ(s.rewind(0).value(), 0u);
  EXPECT_EQ(s.rewind(1).error().message, "session: cannot rewind to 1 tokens, only 0 have been run");
  EXPECT_FALSE((session<V, on_type>::make(*w, on, {.context = 0})));
}

}  // namespace
