#include "g4/open/any_drafter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/generate/lookup.h"
#include "g4/generate/speculate.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/tiny_variants.h"

namespace g4 {
namespace {

/// Drafts for test::tiny_e2b: heads as its producers have them.
struct tiny_drafter : drafter<test::tiny_e2b,
    shape{.layers = 2, .width = 32, .vocab = 101},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{48}>,
    layer_scalar> {};

using reference = backend::reference<float>;

/// A random model of V, with sessions whose type is forgotten.
template <class V>
class running {
 public:
  explicit running(reference& on) : weights_(file_.template load<V>(on)), on_(on) {}
  [[nodiscard]] session<V, reference> start_typed() const {
    return *session<V, reference>::make(*weights_, on_, {.context = 64, .batch = 16});
  }
  [[nodiscard]] std::unique_ptr<any_session> start() const {
    return std::make_unique<detail::typed_session<V, reference>>(start_typed());
  }

 private:
  test::random_checkpoint file_{V::spec};
  std::shared_ptr<const weights<V>> weights_;
  reference& on_;
};

class any_drafter_of_a_tiny_model : public ::testing::Test {
 protected:
  any_drafter_of_a_tiny_model() {
    from_.path = "drafter";
    from_.format = load::format::safetensors;
    from_.spec = tiny_drafter::spec;
    from_.tensors = file_.file();
  }
  [[nodiscard]] std::vector<token_id> greedy(std::size_t count) const {
    const auto s = model_.start();
    std::vector<token_id> ids;
    auto logits = s->run(prompt_);
    while (ids.size() < count) {
      ids.push_back(static_cast<token_id>(std::max_element(logits->begin(), logits->end()) - logits->begin()));
      logits = s->run(ids.back());
    }
    return ids;
  }

  reference on_;
  test::random_checkpoint file_{tiny_drafter::spec, 2};
  checkpoint from_;
  running<test::tiny_e2b> model_{on_};
  const std::vector<token_id> prompt_{2, 11, 45, 7, 11, 45};
};

TEST_F(any_drafter_of_a_tiny_model, the_same_guesses_as_its_type) {
  const auto s = model_.start();
  ASSERT_TRUE(s->run(prompt_));
  const auto opened = open_any_drafter<one_of<tiny_drafter>>(from_, *s, on_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->variant(), "tiny_drafter");

  const auto weights = file_.load<tiny_drafter>(on_);
  auto typed = draft_session<tiny_drafter, reference>::make(*weights, *s->as<session<test::tiny_e2b, reference>>());
  const auto expected = typed->draft(5, 4, s->hidden().data());
  const auto guesses = (*opened)->draft(5, 4, s->hidden().data());
  EXPECT_TRUE(std::equal(guesses.begin(), guesses.end(), expected.begin(), expected.end()));
  EXPECT_EQ(guesses.size(), 4u);
}

TEST_F(any_drafter_of_a_tiny_model, greedy_answer_unchanged) {
  const auto s = model_.start();
  const auto opened = open_any_drafter<one_of<tiny_drafter>>(from_, *s, on_);
  ASSERT_TRUE(opened) << opened.error().message;
  const auto done = speculate(*s, prompt_, 30, 3, guess_with(**opened), [](token_id) { return true; });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->tokens, greedy(30));
  EXPECT_GT(done->guessed, 0u);
}

TEST_F(any_drafter_of_a_tiny_model, lookup_with_a_forgotten_type) {
  const auto s = model_.start();
  prompt_lookup lookup;
  const auto done = speculate(*s, prompt_, 30, 3, guess_by(lookup), [](token_id) { return true; });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->tokens, greedy(30));
}

TEST_F(any_drafter_of_a_tiny_model, rows_laid_into_a_prompt_reach_the_session) {
  const std::vector<float> rows(2 * test::tiny_e2b::width, 0.25f);
  const inlay<float> laid[] = {{.first = 1, .count = 2, .rows = rows.data()}};
  const prompt_view<float> prompt{prompt_, laid};
  const auto forgotten = model_.start();
  auto typed = model_.start_typed();
  std::vector<std::vector<float>> all;
  ASSERT_TRUE(
      forgotten->run_all(prompt, [&](std::size_t, auto logits) { all.emplace_back(logits.begin(), logits.end()); }));
  ASSERT_TRUE(typed.run_all(prompt, [&](std::size_t t, auto logits) {
    EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()), all[t]);
  }));
  EXPECT_EQ(all.size(), prompt_.size());
  ASSERT_TRUE(forgotten->rewind(0));
  const auto last = forgotten->run(prompt);
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(std::vector<float>(last->begin(), last->end()), all.back());
  ASSERT_TRUE(forgotten->rewind(0));
  const auto without = forgotten->run(prompt_);
  EXPECT_NE(std::vector<float>(without->begin(), without->end()), all.back());
}

TEST_F(any_drafter_of_a_tiny_model, another_target_refused) {
  const running<test::tiny_gemma3> another(on_);
  const auto s = another.start();
  const auto opened = open_any_drafter<one_of<tiny_drafter>>(from_, *s, on_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message,
            "drafter: is tiny_drafter, which drafts for tiny_e2b; the model that is running is another");
}

TEST_F(any_drafter_of_a_tiny_model, another_drafter_refused_with_its_differences) {
  from_.spec.width = 64;
  const auto s = model_.start();
  const auto opened = open_any_drafter<one_of<tiny_drafter>>(from_, *s, on_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message,
            "drafter: is not any drafter of this program; the nearest is tiny_drafter: width: the file has 64, "
            "tiny_drafter has 32");
}

}  // namespace
}  // namespace g4
