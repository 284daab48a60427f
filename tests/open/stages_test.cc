// A model in stages, one to a rank: the leader's texts have the bits of one process, it sees what one process shows, and stages
// that do not fit together, or of which one does not answer, give every rank a sentence.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "g4/open/ranks.h"
#include "tests/open/texts_on_ranks.h"
#include "tests/support/on_ranks.h"

namespace {

using namespace g4;
using test::floats;
using test::last_of;
using test::lead;
using test::lead_opened;
using test::machine;
using test::on_disk;
using test::on_ranks;
using test::some_ids;
using variant = test::tiny_a4b;
using joined = test::joined_machine;
using three_stages = sharded<variant, pipeline<cut_before<1>, cut_before<5>>>;

TEST(stages, give_the_bits_of_one_process) { test::expect_the_morning_of_one_process<three_stages>(); }

TEST(stages, batches_and_forks_give_the_bits_of_one_process) {
  test::expect_the_afternoon_of_one_process<three_stages>();
}

TEST(stages, save_the_files_of_one_process_and_go_on_from_them) {
  test::expect_the_saved_texts_of_one_process<three_stages>();
}

TEST(stages, of_a_program_are_the_most_even_or_listed) {
  const on_disk<variant> disk;
  using of_others = one_of<test::tiny_odd, variant>;
  using listed = pipelines<pipeline<cut_before<1>>, pipeline<cut_before<1>, cut_before<40>>>;  // the second cannot be
  session<variant, machine> straight = [&] {
    static machine alone;
    static const auto whole = open<variant>(disk.from, alone);
    return *whole->session({.context = 32, .batch = 8});
  }();
  const auto ids = some_ids(9, variant::vocab);
  const auto expected = last_of(straight, {ids});
  for (const std::vector<int>& cuts : {std::vector<int>{}, std::vector<int>{1}}) {
    const auto in_stages = [&](joined& on) {
      return open_in_stages<of_others, rank_counts<2, 3>, listed>(disk.from, cuts, on);
    };
    const auto is_the_second = [](const any_model& model) { EXPECT_EQ(model.spec(), variant::spec); };
    const auto runs = [&](const any_model& model) {
      is_the_second(model);
      auto text = *model.session({.context = 32, .batch = 8});
      const auto logits = text->run(ids);
      ASSERT_TRUE(logits) << logits.error().message;
      EXPECT_EQ(floats(*logits), expected);
    };
    lead_opened<machine>(2, in_stages, runs, is_the_second);
  }
  const auto refused = [&](int ranks, const std::vector<int>& cuts, const result<checkpoint>& from,
                           const std::string& words) {
    on_ranks(ranks, [&](comm::thread_rank& rank) {
      joined on(rank);
      const auto model = open_in_stages<of_others, rank_counts<2, 3>, listed>(from, cuts, on);
      ASSERT_FALSE(model);
      EXPECT_NE(model.error().message.find(words), std::string::npos) << model.error().message;
    });
  };
  refused(2, {2, 1}, disk.from, "tiny_a4b: every cut stands behind the one before it");
  refused(2, {1, 2}, disk.from, "tiny_a4b: a pipeline of 3 stages runs on as many ranks; 2 were started");
  refused(2, {2}, disk.from, "tiny_a4b: this program was built for pipelines cut before 3 or 2,4 or 1");
  refused(4, {}, disk.from, "; 4 ranks were started");
  refused(2, {}, fail("there is no file"), "there is no file");
  checkpoint other = disk.from;
  other.spec.width += 64;
  refused(2, {1}, other, "any variant of this program; the nearest is tiny_a4b");
}

TEST(stages, are_counted_and_have_the_same_cuts_on_all_ranks) {
  const on_disk<variant> disk;
  on_ranks(2, [&](comm::thread_rank& rank) {
    joined on(rank);
    const auto model = open<three_stages>(disk.from, on);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().message, "tiny_a4b: this model is shared out among 3 ranks; 2 were started");
  });
  on_ranks(3, [&](comm::thread_rank& rank) {
    joined on(rank);
    std::string refused;
    if (rank.rank() != 2) {
      const auto model = open<three_stages>(disk.from, on);
      if (!model) refused = model.error().message;
    } else {
      const auto model = open<sharded<variant, pipeline<cut_before<1>, cut_before<4>>>>(disk.from, on);
      if (!model) refused = model.error().message;
    }
    EXPECT_EQ(refused,
              "rank 2 has another pipeline than rank 0: cut before 1 4, not cut before 1 5; start all ranks alike, "
              "on machines of one kind");
  });
}

/// Every inner tensor that a text shows, with its name.
template <class Model>
std::vector<std::pair<std::string, std::vector<float>>> shown_by(const Model& model) {
  std::vector<std::pair<std::string, std::vector<float>>> shown;
  const tap<float> see{&shown, [](void* self, const tapped<float>& what) {
                         auto& all = *static_cast<decltype(shown)*>(self);
                         all.push_back({what.name + std::to_string(what.layer),
                                        {what.data, what.data + what.streams * what.rows * what.width}});
                         if (what.indices == nullptr) return;
                         const std::size_t chosen = what.rows * static_cast<std::size_t>(variant::spec.experts->chosen);
                         all.push_back({"chosen", {what.indices, what.indices + chosen}});
                       }};
  auto text = *model.session({.context = 32, .batch = 5});
  text.watch(see);
  last_of(text, {some_ids(12, variant::vocab)});
  text.watch({});
  last_of(text, {some_ids(2, variant::vocab)});
  auto batch = *make_batch(model, {.texts = 2, .context = 40, .rows = 6});
  batch.watch(see);
  EXPECT_TRUE(
      batch.join(some_ids(9, variant::vocab), {.max_tokens = 2, .stop_at_end = false}, [](std::string_view) {}));
  while (batch.running() > 0) EXPECT_TRUE(batch.step());
  return shown;
}

TEST(stages, show_the_leader_what_one_process_shows) {
  const on_disk<variant> disk;
  machine plain;
  const auto whole = open<variant>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const auto expected = shown_by(*whole);
  ASSERT_GT(expected.size(), 100u);
  lead<three_stages, machine>(disk.from, [&](const auto& model) {
    const auto found = shown_by(model);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].first, expected[i].first);
      EXPECT_EQ(found[i].second, expected[i].second) << found[i].first;
    }
  });
}

TEST(stages, behind_and_in_front_of_one_that_does_not_answer_have_a_sentence_in_time) {
  const test::random_checkpoint weights(variant::spec);
  std::atomic<int> told = 0;
  on_ranks(
      3,
      [&](comm::thread_rank& rank) {
        joined on(rank);
        const auto w = weights.load<three_stages>(on);
        auto text = *session<three_stages, joined>::make(*w, on, {.context = 64, .batch = 4});
        if (rank.rank() == 1) {
          while (told < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
          return;
        }
        const auto done = text.run(some_ids(40, variant::vocab));
        ++told;
        ASSERT_FALSE(done);
        // The first can go on by two chunks, the last cannot begin.
        EXPECT_EQ(done.error().message, "rank " + std::to_string(rank.rank()) +
                                            ": no answer from rank 1 for 400 ms; this model cannot go on");
      },
      std::chrono::milliseconds(400));
}

}  // namespace
