// Whole models on the kernels: as on the definitions, in every order, and a device's failure is a sentence.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
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
void expect_as_defined(session_options options, backend::numeric mode = backend::numeric::exact, float far = 2e-3f) {
  const test::random_checkpoint checkpoint(V::spec);
  backend::reference<float> defined;
  cuda_on_host in_order({.mode = mode}), drawn({.mode = mode, .seed = 5});
  const auto want = everything<V>(defined, checkpoint, options);
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
  expect_as_defined<tiny_halves>({.context = 40, .batch = 7}, backend::numeric::fast, 2e-2f);
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
