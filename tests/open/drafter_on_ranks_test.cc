// Drafters that are shared out: guesses of one process, and speculation with greedy's answer.
#include "g4/open/drafter_on_ranks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "g4/backend/joined.h"
#include "g4/backend/reference.h"
#include "g4/generate/speculate.h"
#include "g4/policy/drafter.h"
#include "tests/model/session_checks.h"
#include "tests/support/model_on_disk.h"
#include "tests/support/on_ranks.h"

namespace {

using namespace g4;
using test::all_rows;
using test::last_of;
using test::on_disk;
using test::on_ranks;
using test::some_ids;
using reference = backend::reference<float>;
using joined = backend::joined<reference, comm::thread_rank>;

/// For test::tiny_e2b: its heads as its producers have them, its guesses from all tokens or from those of the best clusters.
struct tiny_drafter : drafter<test::tiny_e2b,
    shape{.layers = 2, .width = 32, .vocab = 101},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{46}>,
    layer_scalar> {};
struct tiny_clustered_drafter : drafter<test::tiny_e2b,
    shape{.layers = 2, .width = 24, .vocab = 101},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{32}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{48}>,
    layer_scalar,
    ordered_embeddings{.clusters = 101, .chosen = 31}> {};

/// What a drafter shows and guesses in two rounds, the second behind a rewind, and what speculation makes of its guesses.
struct drafted {
  all_rows shown;
  std::vector<token_id> guesses, spoken;
  friend bool operator==(const drafted&, const drafted&) = default;
};
template <class Session, class Drafter>
drafted some_drafts(Session& text, Drafter& drafter) {
  drafted done;
  drafter.watch({&done.shown, [](void* self, const tapped<float>& what) {
                   static_cast<all_rows*>(self)->emplace_back(what.data, what.data + what.rows * what.width);
                 }});
  const auto guess = [&] {
    const auto ids = drafter.draft(7, 4, text.hidden().data());
    done.guesses.insert(done.guesses.end(), ids.begin(), ids.end());
  };
  last_of(text, {some_ids(19, 101)});
  guess();
  EXPECT_TRUE(text.rewind(17));
  guess();
  drafter.watch({});
  EXPECT_TRUE(text.rewind(0));
  const auto spoken = speculate(text, some_ids(9, 101), 24, 3, guess_with(drafter), [](token_id) { return true; });
  EXPECT_TRUE(spoken) << (spoken ? "" : spoken.error().message);
  if (spoken) done.spoken = spoken->tokens;
  return done;
}
template <class Session>
std::vector<token_id> greedy(Session& text, std::size_t count) {
  std::vector<token_id> ids;
  auto logits = text.run(prompt_view<float>{some_ids(9, 101)});
  while (logits && ids.size() < count) {
    ids.push_back(static_cast<token_id>(std::max_element(logits->begin(), logits->end()) - logits->begin()));
    logits = text.run(ids.back());
  }
  return ids;
}

/// Holds D over so many ranks against D in one process.
template <class D, int Ranks>
void expect_the_drafts_of_one_process() {
  using target = typename D::target;
  using plan = tensor_parallel<Ranks>;
  const on_disk<target> disk(3);
  const on_disk<D> assistant(4);
  reference plain;
  const auto whole = open<target>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const auto weights = assistant.weights.template load<D>(plain);
  constexpr session_options options{.context = 48, .batch = 8};
  auto text = *whole->session(options);
  auto drafter = *draft_session<D, reference>::make(*weights, text);
  const drafted expected = some_drafts(text, drafter);
  ASSERT_EQ(expected.guesses.size(), 8u);
  on_ranks(Ranks, [&](comm::thread_rank& rank) {
    joined on(rank);
    const auto model = open<sharded<target, plan>>(disk.from, on);
    ASSERT_TRUE(model) << model.error().message;
    const auto none = open_drafter<sharded<D, plan>>(std::string("/nowhere"), *model);
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find("/nowhere"), std::string::npos) << none.error().message;
    const auto shared_drafter = open_drafter<sharded<D, plan>>(assistant.from, *model);
    ASSERT_TRUE(shared_drafter) << shared_drafter.error().message;
    if (!on.leads()) {
      const auto followed = model->follow();
      EXPECT_TRUE(followed) << followed.error().message;
      return;
    }
    auto led = *model->session(options);
    { auto gone = shared_drafter->beside(led); }
    auto drafts = shared_drafter->beside(led);
    ASSERT_TRUE(drafts) << drafts.error().message;
    const drafted found = some_drafts(led, *drafts);
    EXPECT_TRUE(found.shown == expected.shown);
    EXPECT_EQ(found.guesses, expected.guesses);
    EXPECT_EQ(found.spoken, expected.spoken);
    auto by_itself = *model->session(options);
    EXPECT_EQ(found.spoken, greedy(by_itself, 24));
  });
}

TEST(ranks, drafters_are_shared_out_as_their_targets_are) {
  expect_the_drafts_of_one_process<tiny_drafter, 4>();
  expect_the_drafts_of_one_process<tiny_clustered_drafter, 4>();
}

}  // namespace
