// A text's logits do not depend on how it was cut into runs; sessions do not disturb each other; refusals are clear.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/model/text/encoder.h"
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
  auto s = *text_encoder<V, backend::reference<float>>::make(*w, on, 20);
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
  auto s = *text_encoder<V, backend::reference<float>>::make(*w, on, 20);
  auto ids = some_ids(13, V::vocab);
  const auto before = logits_of_all(s, ids);
  ids.back() = (ids.back() + 1) % V::vocab;
  EXPECT_GT(largest_difference(before[0], logits_of_all(s, ids)[0]), 1e-4f);
}

TEST(encoder, says_what_it_refuses) {
  using V = test::tiny_encoder;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  using encoder = text_encoder<V, backend::reference<float>>;
  EXPECT_EQ(encoder::make(*w, on, 0).error().message, "encoder: a text needs room for a token at least");
  EXPECT_FALSE(encoder::make(*w, on, std::size_t{1} << 58));
  auto e = *encoder::make(*w, on, 4);
  EXPECT_EQ(e.encode({some_ids(5, V::vocab)}).error().message, "encoder: the text has 5 tokens; there is room for 4");
  EXPECT_EQ(e.encode({}).error().message, "encoder: there is nothing to run");
}

TEST(image_runs, on_local_layers_only_in_gemma4) {
  // Four image tokens after two of text: with the mask, the image's first token sees its last one.
  using V = test::tiny_a4b;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto ids = some_ids(8, V::vocab);
  const std::vector<inlay<float>> picture{{.first = 2, .count = 4, .is_picture = true}};
  const auto rows_of = [&](std::size_t batch) {
    auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = batch});
    std::vector<std::vector<float>> rows;
    const auto ran = s.run_all({ids, picture}, [&](std::size_t, auto l) { rows.emplace_back(l.begin(), l.end()); });
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
  const std::vector<inlay<float>> picture{{.first = 1, .count = 5, .is_picture = true}};
  const auto ran = s.run({ids, picture});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message, "session: an image has 5 tokens, more than the batch of 3");
  EXPECT_EQ(s.size(), 0u) << "the text in front of it was run";
}

TEST(inlays, out_of_place_are_refused) {
  using V = test::tiny_a4b;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = 8});
  const auto ids = some_ids(6, V::vocab);
  const auto refused = [&](const std::vector<inlay<float>>& inlays) { return !s.run({ids, inlays}) && s.size() == 0; };
  EXPECT_TRUE(refused({{.first = 4, .count = 3}}));
  EXPECT_TRUE(refused({{.first = 7, .count = 0}}));
  EXPECT_TRUE(refused({{.first = 1, .count = static_cast<std::size_t>(-1)}}));
  EXPECT_TRUE(refused({{.first = 1, .count = 3}, {.first = 3, .count = 1}}));
  EXPECT_TRUE(refused({{.first = 3, .count = 1}, {.first = 1, .count = 1}}));
}

TEST(inlays, rows_of_the_table_laid_in_are_the_tokens_themselves) {
  using V = test::tiny_gemma3;
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto ids = some_ids(9, V::vocab);
  auto plain = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = 4});
  const auto expected = logits_of_all(plain, ids);
  std::vector<float> rows(5 * V::width);
  on.embed(w->embed, ids.data() + 3, 5, std::sqrt(static_cast<float>(V::width)), rows.data());
  for (std::size_t t = 3; t < 8; ++t) ids[t] = -1;  // what stands under rows is not looked at
  const std::vector<inlay<float>> laid{{.first = 3, .count = 5, .rows = rows.data()}};
  auto s = *session<V, backend::reference<float>>::make(*w, on, {.context = 20, .batch = 4});  // cut by chunks
  std::size_t t = 0;
  ASSERT_TRUE(s.run_all({ids, laid}, [&](std::size_t, auto logits) {
    EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()), expected[t++]);
  }));
}

/// Two windows in one model: layers that see 3 keys, layers that see 8, and layers that see all.
struct two_windows : transformer<
    shape{.layers = 6, .width = 48, .vocab = 97},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{3}, rope{.theta = 1e4f}>>,
           times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>>,
    feed::gated<gelu_tanh, hidden{80}>,
    logits::uncapped> {};

TEST(two_windows_in_one_model, each_layer_sees_its_own) {
  using V = two_windows;
  using on_type = backend::reference<float>;
  on_type on;
  expect_cutting_does_not_matter<V>(on, 2e-4f);
  // Three layers see 2 keys back and three 7: a token reaches 3·2 + 3·7 further, and not one step more.
  constexpr std::size_t reach = 3 * 2 + 3 * 7;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto ids = some_ids(reach + 2, V::vocab);
  auto a = *session<V, on_type>::make(*w, on, {.context = 40, .batch = 5});
  const auto before = logits_of_all(a, ids);
  ids[0] = (ids[0] + 1) % V::vocab;
  auto b = *session<V, on_type>::make(*w, on, {.context = 40, .batch = 5});
  const auto after = logits_of_all(b, ids);
  EXPECT_NE(before[reach], after[reach]);
  EXPECT_EQ(before[reach + 1], after[reach + 1]);
}

/// Two texts share passes, row beside row, at different places: each gives the bits it gives alone.
template <class V, class B>
void expect_texts_do_not_disturb_each_other(B& on) {
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  const auto first = some_ids(20, V::vocab);
  const std::vector<token_id> second(first.rbegin(), first.rend());
  const session_options options{.context = 40, .batch = 8};
  std::vector<std::vector<float>> alone;
  for (const auto& ids : {first, second}) {
    auto s = *session<V, B>::make(*w, on, options);
    for (const auto& row : logits_of_all(s, ids)) alone.push_back(row);
  }
  auto one = *text_cache<B>::make(on, V::spec, options);
  auto two = *text_cache<B>::make(on, V::spec, options);
  auto runner = *text_runner<V, B>::make(*w, on, 8, 0);
  const cache_view* const caches[] = {one.layers(), two.layers()};
  std::size_t ran[] = {0, 0};
  const std::vector<token_id>* const texts[] = {&first, &second};
  // Three rows of one and two of the other, then one and one, and so on: neither keeps step with the other.
  for (std::size_t step = 0; ran[0] < 20 || ran[1] < 20; ++step) {
    const std::size_t counts[] = {std::min<std::size_t>(step % 3 == 0 ? 3 : 1, 20 - ran[0]),
                                  std::min<std::size_t>(step % 2 == 0 ? 2 : 3, 20 - ran[1])};
    std::vector<std::int32_t> wanted;
    std::size_t staged = 0;
    for (int t = 0; t < 2; ++t) {
      stage_rows<V>(prompt_view<float>{*texts[t]}, ran[t], ran[t], runner.staged(8).subspan(staged, counts[t]), t);
      staged += counts[t];
      if (counts[t] > 0) wanted.push_back(static_cast<std::int32_t>(staged - 1));
    }
    runner.run(staged, caches, {}, wanted);
    std::size_t row = 0;
    for (int t = 0; t < 2; ++t) {
      if (counts[t] == 0) continue;
      ran[t] += counts[t];
      const auto logits = runner.logits_of(runner.final_norm() + row++ * V::width, 1);
      ASSERT_EQ(std::vector<float>(logits.begin(), logits.end()), alone[t * 20 + ran[t] - 1])
          << "text " << t << ", token " << ran[t] - 1;
    }
  }
}

TYPED_TEST(every_decoder, two_texts_in_one_pass_give_each_its_own_bits) {
  backend::reference<float> on;
  expect_texts_do_not_disturb_each_other<TypeParam>(on);
}

TEST(rewinding, counts_from_the_furthest_token_that_was_run) {
  using V = test::tiny_gemma3;
  using on_type = backend::reference<float>;
  on_type on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  auto s = *session<V, on_type>::make(*w, on, {.context = 60, .batch = 8});
  ASSERT_TRUE(s.run(some_ids(40, V::vocab)));
  EXPECT_EQ(s.rewind(32).value(), 32u);
  EXPECT_EQ(s.rewind(24).error().message,
            "session: cannot rewind to 24 tokens: 40 have been run, and at most a batch of 8 of them can be taken back");
  ASSERT_TRUE(s.run(some_ids(4, V::vocab)));
  EXPECT_FALSE(s.rewind(31)) << "40 tokens were in the cache, whatever was run since";
  ASSERT_TRUE(s.run(some_ids(8, V::vocab)));
  EXPECT_EQ(s.rewind(36).value(), 36u);
  EXPECT_EQ(s.rewind(0).value(), 0u);
  const auto ids = some_ids(30, V::vocab);
  auto fresh = *session<V, on_type>::make(*w, on, {.context = 60, .batch = 8});
  EXPECT_EQ(logits_of_all(s, ids), logits_of_all(fresh, ids));
}

TEST(session, sizes_that_no_machine_has_are_refused) {
  using V = test::tiny_gemma3;
  using on_type = backend::reference<float>;
  on_type on;
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  for (const std::size_t context : {std::size_t{1} << 57, std::size_t{1} << 63, static_cast<std::size_t>(-1)}) {
    for (const std::size_t batch : {std::size_t{8}, context}) {
      const auto made = session<V, on_type>::make(*w, on, {.context = context, .batch = batch});
      ASSERT_FALSE(made);
      EXPECT_NE(made.error().message.find("could not be had; ask for a smaller context"), std::string::npos);
    }
    EXPECT_FALSE((plan_session(V::spec, V::kinds, {.context = context, .batch = context}, 4, storage::f32).counted()));
  }
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
