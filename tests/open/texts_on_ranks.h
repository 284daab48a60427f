/// A model over several ranks and what its leader does with texts, which must be what one process does, bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/backend/joined.h"
#include "g4/backend/reference.h"
#include "g4/comm/threads.h"
#include "g4/generate/batch.h"
#include "g4/open/ranks.h"
#include "tests/model/session_checks.h"
#include "tests/support/lead.h"
#include "tests/support/model_on_disk.h"

namespace g4::test {

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
using joined_machine = backend::joined<machine, comm::thread_rank>;
template <int Ranks>
using shared_out = sharded<tiny_a4b, tensor_parallel<Ranks>>;

/// Two texts side by side, one of them with a picture, one after a third has gone; long prompts and single tokens.
template <class Model>
all_rows a_morning(const Model& model, const std::vector<float>& picture) {
  all_rows rows;
  auto first = model.session({.context = 48, .batch = 8});
  EXPECT_TRUE(first) << (first ? "" : first.error().message);
  if (!first) return rows;
  { auto gone = model.session({.context = 9}); }
  const auto ids = some_ids(21, tiny_a4b::vocab);
  rows.push_back(last_of(*first, {ids}));
  auto second = model.session({.context = 32, .batch = 16, .first_position = 3});
  EXPECT_TRUE(second);
  const std::vector<inlay<float>> laid{{2, 3, picture.data(), true}, {6, 2, nullptr, true}};
  rows.push_back(last_of(*second, {some_ids(12, tiny_a4b::vocab), laid}));
  EXPECT_TRUE(first->rewind(18));
  rows.push_back(last_of(*first, {{ids.data() + 18, 1}}));
  EXPECT_TRUE(
      second->run_all({some_ids(10, tiny_a4b::vocab)}, [&](std::size_t, auto row) { rows.push_back(floats(row)); }));
  rows.push_back(last_of(*first, {ids}));
  rows.push_back(floats(first->hidden()));
  // What is refused is refused before anybody hears of it.
  EXPECT_FALSE(first->run(std::vector<token_id>{tiny_a4b::vocab}));
  EXPECT_FALSE(first->run(some_ids(48, tiny_a4b::vocab)));
  rows.push_back(last_of(*first, {{ids.data(), 1}}));
  return rows;
}

/// Expects of a model shared out as each of Shared, over as many ranks, what one process does with the same texts.
template <class... Shared>
void expect_the_morning_of_one_process() {
  const on_disk<tiny_a4b> disk;
  std::vector<float> picture(3 * tiny_a4b::width);
  for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<float>(i % 13) / 7 - 1;
  machine plain;
  const auto whole = open<tiny_a4b>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const all_rows expected = a_morning(*whole, picture);
  ASSERT_EQ(expected.size(), 16u);
  const auto check = [&](const auto& model) {
    const all_rows found = a_morning(model, picture);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].size(), expected[i].size());
      EXPECT_EQ(std::memcmp(found[i].data(), expected[i].data(), found[i].size() * sizeof(float)), 0) << "row " << i;
    }
  };
  (lead<Shared, machine>(disk.from, check), ...);
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
                    static_cast<all_rows*>(self)->emplace_back(what.data + t * what.width,
                                                               what.data + (t + 1) * what.width);
                }});
  const generate_options some{.max_tokens = 6, .stop_at_end = false};
  const auto join = [&](auto&&... how) {
    const auto id = texts->join(
        std::forward<decltype(how)>(how)..., some, [](std::string_view) {}, guessing{.most = 2, .longest = 1});
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    return *id;
  };
  auto before = model.session({.context = 32, .batch = 7});
  EXPECT_TRUE(before);
  rows.push_back(last_of(*before, {some_ids(13, tiny_a4b::vocab)}));
  const auto ids = some_ids(17, tiny_a4b::vocab);
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
  EXPECT_FALSE(texts->join(std::vector<token_id>{tiny_a4b::vocab}, some, [](std::string_view) {}));
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

/// The same of batches and forks.
template <class Shared>
void expect_the_afternoon_of_one_process() {
  const on_disk<tiny_a4b> disk;
  machine plain;
  const auto whole = open<tiny_a4b>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const all_rows expected = an_afternoon(*whole);
  ASSERT_GT(expected.size(), 15u);
  lead<Shared, machine>(
      disk.from, [&](const auto& model) { EXPECT_EQ(an_afternoon(model), expected); },
      [](const auto& model) { EXPECT_FALSE(make_batch(model)); });
}

/// Saves a text that has gone round its rings and back, and says what it and another that was restored make of what follows.
template <class Model>
all_rows saved_and_restored(const Model& model, const std::filesystem::path& from, const std::filesystem::path& to) {
  all_rows rows;
  auto text = *model.session({.context = 64, .batch = 8});
  last_of(text, {some_ids(41, tiny_a4b::vocab)});
  EXPECT_TRUE(text.rewind(38));
  const auto saved = save(text, to.string());
  EXPECT_TRUE(saved) << saved.error().message;
  auto other = *model.session({.context = 48, .batch = 8});
  const auto restored = restore(from.string(), other);
  EXPECT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(other.size(), 38u);
  for (auto* one : {&text, &other}) rows.push_back(last_of(*one, {some_ids(5, tiny_a4b::vocab)}));
  EXPECT_EQ(rows.front(), rows.back());
  auto small = *model.session({.context = 9, .batch = 8});
  EXPECT_FALSE(restore(to.string(), small));
  last_of(small, {some_ids(9, tiny_a4b::vocab)});
  return rows;
}

/// The same of saved texts: the files are one process's as well.
template <class Shared>
void expect_the_saved_texts_of_one_process() {
  namespace fs = std::filesystem;
  const on_disk<tiny_a4b> disk;
  const fs::path one = disk.folder / "one.g4", many = disk.folder / "many.g4";
  machine plain;
  const auto whole = open<tiny_a4b>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  const all_rows expected = saved_and_restored(*whole, one, one);
  const auto bytes_of = [](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  lead<Shared, machine>(disk.from,
                        [&](const auto& model) { EXPECT_EQ(saved_and_restored(model, one, many), expected); });
  EXPECT_EQ(bytes_of(many), bytes_of(one));
  auto text = *whole->session({.context = 64, .batch = 8});
  EXPECT_TRUE(restore(many.string(), text));
  EXPECT_EQ(last_of(text, {some_ids(5, tiny_a4b::vocab)}), expected.front());
}

}  // namespace g4::test
