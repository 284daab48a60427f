// A model on several ranks, from opening to the last token: the leader's texts have the bits of one process, ranks that
// do not fit together are refused, and a rank that does not answer gives every other a sentence.
#include "g4/open/ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/comm/alone.h"
#include "g4/generate/batch.h"
#include "g4/generate/generate.h"
#include "tests/model/session_checks.h"
#include "tests/support/lead.h"
#include "tests/support/model_on_disk.h"
#include "tests/support/on_ranks.h"

namespace {

using namespace g4;
namespace fs = std::filesystem;
using test::all_rows;
using test::floats;
using test::last_of;
using test::lead;
using test::lead_opened;
using test::on_disk;
using test::on_ranks;
using test::some_ids;
using variant = test::tiny_a4b;
constexpr std::size_t width = variant::width;

/// The reference, with what may differ between machines.
class machine : public backend::reference<float> {
 public:
  struct options {
    int mode = 0;
    bool adds_backwards = false;
  };
  machine() = default;
  explicit machine(const options& o) : options_(o) {}
  [[nodiscard]] int mode() const { return options_.mode; }
  void rms_norm(const float* x, const float* scale, std::size_t tokens, std::size_t n, float eps, float* y) {
    reference::rms_norm(x, scale, tokens, n, eps, y);
    for (std::size_t i = 0; options_.adds_backwards && i < tokens * n; ++i) y[i] *= 1 + 0x1p-22f;
  }

 private:
  options options_;
};
using joined = backend::joined<machine, comm::thread_rank>;
template <int Ranks>
using shared = sharded<variant, tensor_parallel<Ranks>>;
using three_stages = sharded<variant, pipeline<cut_before<1>, cut_before<5>>>;

/// Two texts side by side, one of them with a picture, one after a third has gone; long prompts and single tokens.
template <class Model>
all_rows a_morning(const Model& model, const std::vector<float>& picture) {
  all_rows rows;
  auto first = model.session({.context = 48, .batch = 8});
  EXPECT_TRUE(first) << (first ? "" : first.error().message);
  if (!first) return rows;
  { auto gone = model.session({.context = 9}); }
  const auto ids = some_ids(21, variant::vocab);
  rows.push_back(last_of(*first, {ids}));
  auto second = model.session({.context = 32, .batch = 16, .first_position = 3});
  EXPECT_TRUE(second);
  const std::vector<inlay<float>> laid{{2, 3, picture.data(), true}, {6, 2, nullptr, true}};
  rows.push_back(last_of(*second, {some_ids(12, variant::vocab), laid}));
  EXPECT_TRUE(first->rewind(18));
  rows.push_back(last_of(*first, {{ids.data() + 18, 1}}));
  EXPECT_TRUE(second->run_all({some_ids(10, variant::vocab)}, [&](std::size_t, auto row) { rows.push_back(floats(row)); }));
  rows.push_back(last_of(*first, {ids}));
  rows.push_back(floats(first->hidden()));
  // What is refused is refused before anybody hears of it.
  EXPECT_FALSE(first->run(std::vector<token_id>{variant::vocab}));
  EXPECT_FALSE(first->run(some_ids(48, variant::vocab)));
  rows.push_back(last_of(*first, {{ids.data(), 1}}));
  return rows;
}

TEST(ranks, leader_and_followers_give_the_bits_of_one_process) {
  const on_disk<variant> disk;
  std::vector<float> picture(3 * width);
  for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<float>(i % 13) / 7 - 1;
  machine plain;
  const auto whole = open<variant>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const all_rows expected = a_morning(*whole, picture);
  ASSERT_EQ(expected.size(), 16u);
  const auto shared_out_as = [&]<class Shared>() {
    lead<Shared, machine>(disk.from, [&](const auto& model) {
      const all_rows found = a_morning(model, picture);
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found[i].size(), expected[i].size());
        EXPECT_EQ(std::memcmp(found[i].data(), expected[i].data(), found[i].size() * sizeof(float)), 0) << "row " << i;
      }
    });
  };
  shared_out_as.operator()<shared<2>>();
  shared_out_as.operator()<shared<4>>();
  shared_out_as.operator()<three_stages>();
}

/// Texts in a batch, of which one leaves early and two go on from a session, which goes on itself, as does its fork.
template <class Model>
all_rows an_afternoon(const Model& model) {
  all_rows rows;
  auto texts = make_batch(model, {.texts = 3, .context = 40, .rows = 9});
  EXPECT_TRUE(texts) << (texts ? "" : texts.error().message);
  if (!texts) return rows;
  texts->watch({&rows, [](void* self, const tapped<float>& what) {
                  if (std::string_view(what.name) != "final_norm") return;
                  for (std::size_t t = 0; t < what.rows; ++t)
                    static_cast<all_rows*>(self)->emplace_back(what.data + t * what.width, what.data + (t + 1) * what.width);
                }});
  const generate_options some{.max_tokens = 6, .stop_at_end = false};
  const auto join = [&](auto&&... how) {
    const auto id = texts->join(std::forward<decltype(how)>(how)..., some, [](std::string_view) {}, guessing{.most = 2, .longest = 1});
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    return *id;
  };
  auto before = model.session({.context = 32, .batch = 7});
  EXPECT_TRUE(before);
  rows.push_back(last_of(*before, {some_ids(13, variant::vocab)}));
  const auto ids = some_ids(17, variant::vocab);
  const text_id first = join(std::span(ids).first(17));
  const text_id second = join(*before, std::span(ids).first(3));
  EXPECT_TRUE(texts->step());
  EXPECT_TRUE(texts->step());
  EXPECT_TRUE(texts->leave(second));
  auto fork = before->fork();
  EXPECT_TRUE(fork);
  rows.push_back(last_of(*before, {std::span(ids).first(4)}));
  const text_id third = join(*fork, std::span(ids).first(1));
  // What is refused is refused before anybody hears of it.
  EXPECT_FALSE(texts->join(std::vector<token_id>{variant::vocab}, some, [](std::string_view) {}));
  while (texts->running() > 0) {
    const auto done = texts->step();
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    if (!done) break;
  }
  for (const text_id one : {first, third}) {
    const auto said = texts->leave(one);
    EXPECT_TRUE(said);
    if (said) rows.push_back(floats(said->tokens));
  }
  rows.push_back(last_of(*fork, {std::span(ids).first(2)}));
  return rows;
}

TEST(ranks, batches_and_forks_give_the_bits_of_one_process) {
  const on_disk<variant> disk;
  machine plain;
  const auto whole = open<variant>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const all_rows expected = an_afternoon(*whole);
  ASSERT_GT(expected.size(), 15u);
  const auto shared_out_as = [&]<class Shared>() {
    lead<Shared, machine>(
        disk.from, [&](const auto& model) { EXPECT_EQ(an_afternoon(model), expected); },
        [](const auto& model) { EXPECT_FALSE(make_batch(model)); });
  };
  shared_out_as.operator()<shared<4>>();
  shared_out_as.operator()<three_stages>();
}

/// Saves a text that has gone round its rings and back, and says what it and another that was restored make of what follows.
template <class Model>
all_rows saved_and_restored(const Model& model, const fs::path& from, const fs::path& to) {
  all_rows rows;
  auto text = *model.session({.context = 64, .batch = 8});
  last_of(text, {some_ids(41, variant::vocab)});
  EXPECT_TRUE(text.rewind(38));
  const auto saved = save(text, to.string());
  EXPECT_TRUE(saved) << saved.error().message;
  auto other = *model.session({.context = 48, .batch = 8});
  const auto restored = restore(from.string(), other);
  EXPECT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(other.size(), 38u);
  for (auto* one : {&text, &other}) rows.push_back(last_of(*one, {some_ids(5, variant::vocab)}));
  EXPECT_EQ(rows.front(), rows.back());
  auto small = *model.session({.context = 9, .batch = 8});
  EXPECT_FALSE(restore(to.string(), small));
  last_of(small, {some_ids(9, variant::vocab)});
  return rows;
}

TEST(ranks, save_the_files_of_one_process_and_go_on_from_them) {
  const on_disk<variant> disk;
  const fs::path one = disk.folder / "one.g4", many = disk.folder / "many.g4";
  machine plain;
  const auto whole = open<variant>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const all_rows expected = saved_and_restored(*whole, one, one);
  const auto bytes_of = [](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto shared_out_as = [&]<class Shared>() {
    lead<Shared, machine>(disk.from, [&](const auto& model) { EXPECT_EQ(saved_and_restored(model, one, many), expected); });
    EXPECT_EQ(bytes_of(many), bytes_of(one));
    auto text = *whole->session({.context = 64, .batch = 8});
    EXPECT_TRUE(restore(many.string(), text));
    EXPECT_EQ(last_of(text, {some_ids(5, variant::vocab)}), expected.front());
  };
  shared_out_as.operator()<shared<4>>();
  shared_out_as.operator()<three_stages>();
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
  expect_both_refuse("rank 1 has another arithmetic than rank 0",
                     [](auto&, auto& how) { how.adds_backwards = true; });
  expect_both_refuse("rank 1 has another file than rank 0", [&](auto& from, auto&) { from.tensors = other.file(); });
  expect_both_refuse("is not tiny_a4b: layers: the file has 7",
                     [](auto& from, auto&) { from.spec.layers = 7; });
  expect_both_refuse("tokenizer.json", [](auto& from, auto&) { from.path = "/nowhere"; });
  on_ranks(3, [&](comm::thread_rank& rank) {
    joined on(rank);
    const auto model = open<shared<2>>(std::string("/nowhere"), on);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().message, "tiny_a4b: this model is shared out among 2 ranks; 3 were started");
  });
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
    const auto in_stages = [&](joined& on) { return open_in_stages<of_others, rank_counts<2, 3>, listed>(disk.from, cuts, on); };
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
  const auto refused = [&](int ranks, const std::vector<int>& cuts, const result<checkpoint>& from, const std::string& words) {
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
    EXPECT_EQ(refused, "rank 2 has another pipeline than rank 0: cut before 1 4, not cut before 1 5; start all ranks alike, "
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
  EXPECT_TRUE(batch.join(some_ids(9, variant::vocab), {.max_tokens = 2, .stop_at_end = false}, [](std::string_view) {}));
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
        EXPECT_EQ(done.error().message,
                  "rank " + std::to_string(rank.rank()) + ": no answer from rank 2 for 400 ms; this model cannot go on");
        EXPECT_LT(took, patience + in_time);
      },
      patience);
}

}  // namespace
