// A model on several ranks, from opening to the last token: the leader's texts have the bits of one process, ranks that
// do not fit together are refused, and a rank that does not answer gives every other a sentence.
#include "g4/open/ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "g4/comm/alone.h"
#include "g4/generate/generate.h"
#include "tests/open/texts_on_ranks.h"
#include "tests/support/on_ranks.h"

namespace {

using namespace g4;
using test::last_of;
using test::lead_opened;
using test::machine;
using test::on_disk;
using test::on_ranks;
using test::some_ids;
using variant = test::tiny_a4b;
using joined = test::joined_machine;
template <int Ranks>
using shared = test::shared_out<Ranks>;

TEST(ranks, leader_and_followers_give_the_bits_of_one_process) {
  test::expect_the_morning_of_one_process<shared<2>, shared<4>>();
}

TEST(ranks, batches_and_forks_give_the_bits_of_one_process) { test::expect_the_afternoon_of_one_process<shared<4>>(); }

TEST(ranks, save_the_files_of_one_process_and_go_on_from_them) {
  test::expect_the_saved_texts_of_one_process<shared<4>>();
}

TEST(ranks, one_is_enough_for_the_same_program) {
  const on_disk<variant> disk;
  machine plain;
  const auto whole = open<variant>(disk.from, plain);
  auto expected = *whole->session({.context = 16});
  comm::alone ranks;
  backend::joined<machine, comm::alone> on(ranks);
  const auto model = open<shared<1>>(disk.from, on);
  ASSERT_TRUE(model) << model.error().message;
  auto text = *model->session({.context = 16});
  EXPECT_EQ(last_of(text, {some_ids(9, variant::vocab)}), last_of(expected, {some_ids(9, variant::vocab)}));
}

TEST(ranks, a_program_built_for_some_counts_takes_those) {
  const on_disk<variant> disk;
  const auto is_the_second = [](const any_model& model) { EXPECT_EQ(model.spec(), variant::spec); };
  const auto of_two = [&](joined& on) {
    return open_over<one_of<test::tiny_odd, variant>, rank_counts<2, 4>>(result<checkpoint>(disk.from), on);
  };
  const auto generates = [&](const any_model& model) {
    is_the_second(model);
    auto text = *model.session({.context = 32, .batch = 8});
    const auto ids = some_ids(9, variant::vocab);
    const auto done = generate(*text, model.tokenizer(), std::span(ids), {.max_tokens = 5, .stop_at_end = false},
                               [](std::string_view) {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->tokens.size(), 5u);
  };
  lead_opened<machine>(2, of_two, generates, is_the_second);
  on_ranks(3, [&](comm::thread_rank& rank) {
    joined on(rank);
    const result<checkpoint> from = disk.from;
    const auto model = open_over<one_of<variant>, rank_counts<2, 4>>(from, on);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().message, "this program was built for 2, 4 ranks; 3 were started");
  });
}

/// Opens on two ranks, of which one differs, and expects a refusal of both with these words in it.
template <class Differ>
void expect_both_refuse(const std::string& words, Differ&& differ) {
  const on_disk<variant> disk;
  on_ranks(2, [&](comm::thread_rank& rank) {
    checkpoint from = disk.from;
    machine::options how;
    if (rank.rank() == 1) differ(from, how);
    joined on(rank, how);
    const auto model = open<shared<2>>(from, on);
    ASSERT_FALSE(model);
    EXPECT_NE(model.error().message.find(words), std::string::npos) << model.error().message;
  });
}

TEST(ranks, that_differ_are_refused_by_all) {
  const test::random_checkpoint other(variant::spec, 2);
  expect_both_refuse("rank 1 has another mode than rank 0: 1, not 0", [](auto&, auto& how) { how.mode = 1; });
  expect_both_refuse("rank 1 has another arithmetic than rank 0", [](auto&, auto& how) { how.adds_backwards = true; });
  expect_both_refuse("rank 1 has another file than rank 0", [&](auto& from, auto&) { from.tensors = other.file(); });
  expect_both_refuse("is not tiny_a4b: layers: the file has 7", [](auto& from, auto&) { from.spec.layers = 7; });
  expect_both_refuse("tokenizer.json", [](auto& from, auto&) { from.path = "/nowhere"; });
  on_ranks(3, [&](comm::thread_rank& rank) {
    joined on(rank);
    const auto model = open<shared<2>>(std::string("/nowhere"), on);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().message, "tiny_a4b: this model is shared out among 2 ranks; 3 were started");
  });
}

TEST(ranks, one_that_does_not_answer_gives_the_others_a_sentence_in_time) {
  const on_disk<variant> disk;
  constexpr auto patience = std::chrono::milliseconds(400);
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr auto in_time = std::chrono::seconds(30);  // threads that are slowed down reach the exchange late
#else
  constexpr auto in_time = std::chrono::seconds(1);
#endif
  std::atomic<int> told = 0;
  on_ranks(
      4,
      [&](comm::thread_rank& rank) {
        joined on(rank);
        const auto model = open<shared<4>>(disk.from, on);
        ASSERT_TRUE(model) << model.error().message;
        if (rank.rank() == 2) {  // goes away where the others think it follows
          while (told < 3) std::this_thread::sleep_for(std::chrono::milliseconds(5));
          return;
        }
        const auto begun = std::chrono::steady_clock::now();
        result<void> done;
        if (on.leads()) {
          auto text = model->session({.context = 16});
          ASSERT_FALSE(text);
          done = unexpected(text.error());
        } else {
          done = model->follow();
        }
        const auto took = std::chrono::steady_clock::now() - begun;
        ++told;
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().message, "rank " + std::to_string(rank.rank()) +
                                            ": no answer from rank 2 for 400 ms; this model cannot go on");
        EXPECT_LT(took, patience + in_time);
      },
      patience);
}

}  // namespace
