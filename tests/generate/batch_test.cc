// Texts that share passes give the bits they give alone, whoever joins and leaves beside them.
#include "g4/generate/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/ops/dequantise.h"
#include "g4/ops/quantise.h"
#include "g4/open/saved_text.h"
#include "g4/text/tokenizer_builder.h"
#include "tests/model/session_checks.h"
#include "tests/support/own_path.h"
#if defined(G4_WITH_CPU)
#include "g4/backend/cpu.h"
#endif

namespace g4 {
namespace {

using test::some_ids;

/// Letters; the model's other ids have no piece. Id 7 ends an answer.
const text::tokenizer& letters() {
  static const text::tokenizer made = [] {
    text::tokenizer_builder builder({.byte_fallback = false});
    builder.piece(0, "<unk>", text::piece_kind::unknown);
    for (std::size_t i = 1; i <= 26; ++i)
      builder.piece(i, std::string(1, static_cast<char>('a' + i - 1)), text::piece_kind::normal);
    return *builder.build({.unknown = 0, .ends = {7}});
  }();
  return made;
}

/// The rows of final norm that a run shows, in some order: every bit that its tokens are chosen from.
struct shown_rows {
  std::vector<std::vector<float>> rows;
  [[nodiscard]] tap<float> see() {
    return {this, [](void* self, const tapped<float>& what) {
              if (std::string_view(what.name) != "final_norm") return;
              for (std::size_t t = 0; t < what.rows; ++t) {
                const float* const row = what.data + t * what.width;
                static_cast<shown_rows*>(self)->rows.emplace_back(row, row + what.width);
              }
            }};
  }
  [[nodiscard]] std::vector<std::vector<float>> sorted() const {
    auto all = rows;
    std::sort(all.begin(), all.end());
    return all;
  }
};

struct request {
  std::vector<token_id> prompt;
  generate_options options;
};

/// The i-th of many texts: of every length around the window, greedy, sampled and penalised.
request nth_request(std::size_t i, int vocab) {
  constexpr std::size_t lengths[] = {
      test::window - 1, test::window, test::window + 1, 1, 20, 2 * test::window + 1, 3, 2};
  request r{some_ids(lengths[i % 8] + i, vocab), {}};
  r.prompt.erase(r.prompt.begin(), r.prompt.begin() + static_cast<std::ptrdiff_t>(i));
  r.options.max_tokens = 5 + i % 4;
  if (i % 2 == 1) r.options.sampling = {.temperature = 0.9f, .seed = i};
  if (i % 3 == 2) r.options.sampling.repetition_penalty = 1.3f;
  return r;
}

template <class V, class B>
generated alone(const weights<V>& w, B& on, const request& r, std::size_t rows, shown_rows* seen = nullptr,
                std::size_t context = 40) {
  auto s = *session<V, B>::make(w, on, {.context = context, .batch = rows});
  if (seen != nullptr) s.watch(seen->see());
  auto done = generate(s, letters(), std::span<const token_id>(r.prompt), r.options, [](std::string_view) {});
  EXPECT_TRUE(done) << done.error().message;
  return *done;
}

template <class V, class B>
void expect_strangers_change_no_bit(const weights<V>& w, B& on, std::size_t rows = 13, std::size_t count = 8) {
  SCOPED_TRACE(std::to_string(count) + " texts in passes of " + std::to_string(rows) + " rows");
  auto texts = batch<V, B>::make(w, letters(), on, {.texts = count, .context = 40, .rows = rows});
  ASSERT_TRUE(texts) << texts.error().message;
  EXPECT_EQ(texts->options().rows, rows);
  shown_rows together, apart;
  texts->watch(together.see());
  std::vector<text_id> ids;
  std::vector<generated> expected;
  std::vector<std::string> said(count);
  for (std::size_t i = 0; i < count; ++i) {
    const request r = nth_request(i, V::vocab);
    expected.push_back(alone<V>(w, on, r, std::min(rows, rows_alike(on)), &apart));
    const auto id = texts->join(std::span<const token_id>(r.prompt), r.options,
                                [&said, i](std::string_view piece) { said[i] += piece; });
    ASSERT_TRUE(id) << id.error().message;
    ids.push_back(*id);
  }
  while (texts->running() > 0) ASSERT_TRUE(texts->step());
  std::size_t spoken = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto done = texts->leave(ids[i]);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->tokens, expected[i].tokens) << "text " << i;
    EXPECT_EQ(done->stopped, expected[i].stopped) << "text " << i;
    EXPECT_EQ(done->prompt_tokens, expected[i].prompt_tokens);
    spoken += said[i].size();
  }
  EXPECT_GT(spoken, 0u);
  ASSERT_EQ(together.rows.size(), apart.rows.size());
  EXPECT_TRUE(together.sorted() == apart.sorted()) << "the tokens are the same, the bits behind them are not";
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // all take a minute and a half to compile
using variants = testing::Types<test::tiny_gemma3, test::tiny_e2b>;
#else
using variants = test::decoders;
#endif
template <class V>
class batch_of : public testing::Test {};
TYPED_TEST_SUITE(batch_of, variants);

TYPED_TEST(batch_of, strangers_change_no_bit_on_the_reference_backend) {
  backend::reference<float> on;
  const test::random_checkpoint checkpoint(TypeParam::spec);
  expect_strangers_change_no_bit<TypeParam>(*checkpoint.load<TypeParam>(on), on);
}

#if defined(G4_WITH_CPU)
TYPED_TEST(batch_of, strangers_change_no_bit_on_the_cpu_backend) {
  const test::random_checkpoint checkpoint(TypeParam::spec);
  for (const auto mode : {backend::numeric::exact, backend::numeric::fast}) {
    backend::cpu on({.mode = mode});
    const auto w = checkpoint.load<TypeParam>(on);
    for (const std::size_t rows : {13, 40}) expect_strangers_change_no_bit<TypeParam>(*w, on, rows);
    EXPECT_EQ(rows_alike(on) > 40, mode == backend::numeric::exact) << "a batch leaves the backend as it was";
  }
}

/// A model whose every matrix can lie in panels.
struct whole_blocks
    : transformer<shape{.layers = 6, .width = 64, .vocab = 97}, embed::tied_scaled, norm::sandwich<one_plus_weight>,
                  attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{32}>,
                  repeat<times<2, local<head{32}, window{8}, rope{.theta = 1e4f}>>,
                         times<1, global<head{32}, rope{.theta = 1e6f}>>>,
                  feed::gated<gelu_tanh, hidden{96}>, logits::uncapped> {};

TEST(batch_in_panels, strangers_change_no_bit_in_the_fast_modes) {
  using V = whole_blocks;
  const test::random_checkpoint checkpoint(V::spec);
  for (const auto mode : {backend::numeric::fast, backend::numeric::fast8}) {
    backend::cpu on({.mode = mode, .move = backend::weights_move::at_load});
    weights<V> w = *checkpoint.load<V>(on);
    panel_store store;
    std::vector<std::vector<std::byte>> stored;
    const auto in_panels = [&](weight_view& m) {
      std::vector<float> row(m.columns);
      auto& bytes = stored.emplace_back(m.rows * row_bytes(storage::q8_0, m.columns));
      for (std::size_t r = 0; r < m.rows; ++r) {
        dequantise(m.type, m.row(r), m.columns, row.data());
        ASSERT_TRUE(
            quantise(storage::q8_0, row.data(), m.columns, bytes.data() + r * row_bytes(storage::q8_0, m.columns)));
      }
      m = *on.prepare(matrix_view{bytes.data(), m.rows, m.columns, storage::q8_0}, store);
    };
    each_weight(w, [&](const tensor_entry&, auto& member) {
      if constexpr (std::is_base_of_v<weight_view, std::remove_reference_t<decltype(member)>>) in_panels(member);
    });
    w.head = w.embed;
    // Rows around every border of the kernels, and more than a mode computes alike unless it is told to.
    for (const std::size_t count : {2, 4, 8, 15, 16, 33}) expect_strangers_change_no_bit<V>(w, on, 40, count);
  }
}
#endif

// ---- histories -----------------------------------------------------------------------------------------------------------

/// Texts join, run for a while and leave, at random, and each is what a session of its own gives: texts alone and texts behind
/// what a session has run, a copy of one or one restored from a file; with guesses and without; some cancelled by their
/// listener; and beside them texts that are refused.
template <class V, class B>
class batch_history {
 public:
  batch_history(B& on, unsigned seed)
      : on_(on),
        random_(seed),
        w_(checkpoint_.load<V>(on)),
        texts_(*batch<V, B>::make(*w_, letters(), on, {.texts = 5, .context = context, .rows = rows})) {
    auto system = *session<V, B>::make(*w_, on, {.context = context, .batch = rows});
    said_ = some_ids(2 * test::window + 3, V::vocab);
    EXPECT_TRUE(system.run(said_));
    after_.push_back(*system.fork());
    const std::string path = test::own_path("g4_batch_history");
    EXPECT_TRUE(save(system, path));
    after_.push_back(*session<V, B>::make(*w_, on, {.context = context, .batch = rows}));
    EXPECT_TRUE(restore(path, after_.back()));
    std::remove(path.c_str());
    // One that took more at once, and some of it back: the same tokens lie in other slots of its rings.
    auto wide = *session<V, B>::make(*w_, on, {.context = 3 * context, .batch = 12});
    EXPECT_TRUE(wide.run(said_));
    EXPECT_TRUE(wide.run(some_ids(11, V::vocab)));
    EXPECT_TRUE(wide.rewind(said_.size()));
    after_.push_back(std::move(wide));
  }

  /// Until `most` texts have joined and left.
  void run(std::size_t most) {
    while (joined_ < most || !inside_.empty()) {
      if (joined_ < most && inside_.size() < 5 && random_() % 2 == 0) {
        ASSERT_NO_FATAL_FAILURE(join());
      }
      if (random_() % 8 == 0) {
        ASSERT_NO_FATAL_FAILURE(refuse());
      }
      ASSERT_TRUE(texts_.step());
      for (std::size_t i = 0; i < inside_.size();) {
        if (texts_.running(inside_[i]->id) && random_() % 40 != 0) {
          ++i;
          continue;
        }
        ASSERT_NO_FATAL_FAILURE(leave(*inside_[i]));
        inside_.erase(inside_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }

  std::size_t left_early = 0, cancelled = 0, guessed = 0, accepted = 0;

 private:
  static constexpr std::size_t context = 48, rows = 7;

  struct guest {
    text_id id{};
    request asked;
    std::size_t listens_to = 0;  // pieces, before it wants no more
    std::size_t heard = 0;
    std::string how;
  };

  void join() {
    auto g = std::make_unique<guest>();
    g->asked = nth_request(random_() % 16, V::vocab);
    if (random_() % 3 == 0) {  // an answer that repeats itself is guessed well
      const auto once = g->asked.prompt;
      g->asked.prompt.insert(g->asked.prompt.end(), once.begin(), once.end());
      g->asked.prompt.resize(std::min<std::size_t>(g->asked.prompt.size(), 24));
      g->asked.options.max_tokens = 16;
    }
    g->listens_to = random_() % 6 == 0 ? random_() % 4 : SIZE_MAX;
    const guessing guesses{.most = random_() % 2 == 0 ? 0 : 1 + random_() % 5, .longest = 1 + random_() % 3};
    const auto listen = [g = g.get()](std::string_view) { return g->heard++ < g->listens_to; };
    g->how = "text " + std::to_string(joined_) + " with up to " + std::to_string(guesses.most) + " guesses";
    result<text_id> id;
    if (const std::size_t which = random_() % 6; which < after_.size()) {
      generate_options options = g->asked.options;
      options.before = said_;
      g->how += " after session " + std::to_string(which);
      id = texts_.join(after_[which], std::span<const token_id>(g->asked.prompt), options, listen, guesses);
      g->asked.prompt.insert(g->asked.prompt.begin(), said_.begin(), said_.end());
    } else {
      id = texts_.join(std::span<const token_id>(g->asked.prompt), g->asked.options, listen, guesses);
    }
    ASSERT_TRUE(id) << id.error().message;
    g->id = *id;
    inside_.push_back(std::move(g));
    ++joined_;
  }

  /// A text that cannot join changes nothing.
  void refuse() {
    const std::vector<token_id> wrong[] = {{}, {1, V::vocab}, {-1}, some_ids(context + 1, V::vocab)};
    const auto& ids = wrong[random_() % 4];
    ASSERT_FALSE(texts_.join(std::span<const token_id>(ids), {}, [](std::string_view) {}));
  }

  void leave(const guest& g) {
    const bool runs = texts_.running(g.id);
    const auto done = texts_.leave(g.id);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_FALSE(texts_.leave(g.id)) << "it has left";
    guessed += done->guessed;
    accepted += done->accepted;
    auto expected = alone<V>(*w_, on_, g.asked, rows, nullptr, context).tokens;
    if (runs || done->stopped == stop_reason::cancelled) {
      ASSERT_LE(done->tokens.size(), expected.size());
      expected.resize(done->tokens.size());
      ++(runs ? left_early : cancelled);
    }
    ASSERT_EQ(done->tokens, expected) << g.how << ", " << g.asked.prompt.size() << " tokens of prompt";
  }

  B& on_;
  std::mt19937 random_;
  test::random_checkpoint checkpoint_{V::spec};
  std::shared_ptr<const weights<V>> w_;
  batch<V, B> texts_;
  std::vector<token_id> said_;
  std::vector<session<V, B>> after_;
  std::vector<std::unique_ptr<guest>> inside_;
  std::size_t joined_ = 0;
};

/// G4_HISTORIES says how many texts; a few by default.
template <class V, class B>
void expect_fresh_sessions(B& on, unsigned seed) {
  const char* const asked = std::getenv("G4_HISTORIES");
  SCOPED_TRACE("seed " + std::to_string(seed));
  batch_history<V, B> history(on, seed);
  history.run(asked != nullptr ? std::strtoull(asked, nullptr, 10) : 60);
  EXPECT_GT(history.left_early, 0u);
  EXPECT_GT(history.cancelled, 0u);
  EXPECT_GT(history.accepted, 0u);
  EXPECT_GT(history.guessed, history.accepted);
}

TEST(batch_histories, are_those_of_fresh_sessions) {
  backend::reference<float> on;
  expect_fresh_sessions<test::tiny_e2b>(on, 1);
  expect_fresh_sessions<test::tiny_gemma3>(on, 2);
#if defined(G4_WITH_CPU)
  backend::cpu fast({.mode = backend::numeric::fast});
  expect_fresh_sessions<test::tiny_e2b>(fast, 3);
#endif
}

class one_batch : public testing::Test {
 protected:
  using V = test::tiny_gemma3;
  using B = backend::reference<float>;
  using batch_type = batch<V, B>;

  [[nodiscard]] batch_type made(const batch_options& options) { return *batch_type::make(*w, letters(), on, options); }
  /// Joins a text of so many ids, without a stop but its limit.
  text_id join(batch_type& texts, std::size_t length, std::size_t most) {
    const auto ids = some_ids(length, V::vocab);
    return *texts.join(std::span<const token_id>(ids), {.max_tokens = most, .stop_at_end = false},
                       [](std::string_view) {});
  }

  B on;
  test::random_checkpoint checkpoint{V::spec};
  std::shared_ptr<const weights<V>> w = checkpoint.load<V>(on);
};

TEST_F(one_batch, an_answer_goes_on_while_prompts_are_read_and_short_ones_overtake) {
  auto texts = made({.texts = 3, .context = 40, .rows = 5});
  const text_id answer = join(texts, 1, 9);
  ASSERT_EQ(*texts.step(), 1u);             // its first token
  const text_id slow = join(texts, 14, 1);  // 2 rows of 4 while there is another prompt, then 4
  const text_id quick = join(texts, 4, 1);
  ASSERT_EQ(*texts.step(), 3u);
  ASSERT_EQ(*texts.step(), 2u);
  EXPECT_FALSE(texts.running(quick)) << "4 ids at 2 a step";
  ASSERT_EQ(*texts.step(), 2u);
  ASSERT_EQ(*texts.step(), 2u);
  EXPECT_TRUE(texts.running(slow)) << "4 of 14 ids were read beside the short one, 4 a step after it";
  ASSERT_EQ(*texts.step(), 1u);
  EXPECT_FALSE(texts.running(slow));
  EXPECT_EQ(texts.leave(answer)->tokens.size(), 6u) << "a token each step";
  EXPECT_EQ(*texts.step(), 0u);
}

TEST_F(one_batch, guesses_that_come_true_are_tokens_of_the_same_step) {
  // An answer that goes round in a circle: from its second round on all of it can be guessed.
  const auto ids = some_ids(5, V::vocab);
  const generate_options options{.max_tokens = 40, .stop_at_end = false};
  const auto steps = [&](const guessing& guesses, std::size_t rows, generated& done) {
    auto texts = made({.texts = 1, .context = 64, .rows = rows});
    const auto id = *texts.join(std::span<const token_id>(ids), options, [](std::string_view) {}, guesses);
    std::size_t count = 0;
    for (; texts.running() > 0; ++count) EXPECT_TRUE(texts.step());
    done = *texts.leave(id);
    return count;
  };
  generated plain, guessed, narrow;
  const std::size_t without = steps({}, 8, plain);
  const std::size_t with = steps({.most = 4}, 8, guessed);
  EXPECT_EQ(plain.tokens, guessed.tokens);
  EXPECT_EQ(plain.guessed, 0u);
  EXPECT_GT(guessed.accepted, 0u);
  EXPECT_EQ(with + guessed.accepted, without) << "each guess that came true saved a step";
  // Without rows to spare there are no guesses, and in the last step none that could not be kept.
  EXPECT_EQ(steps({.most = 4}, 1, narrow), plain.tokens.size() + ids.size() - 1);
  EXPECT_EQ(narrow.tokens, plain.tokens);
  EXPECT_EQ(narrow.guessed, 0u);
}

TEST_F(one_batch, guesses_take_the_rows_that_prompts_leave) {
  auto texts = made({.texts = 2, .context = 64, .rows = 6});
  std::vector<token_id> circle;
  for (int i = 0; i < 12; ++i) circle.push_back(3 + i % 2);
  const auto guesser = *texts.join(std::span<const token_id>(circle), {.max_tokens = 20, .stop_at_end = false},
                                   [](std::string_view) {}, {.most = 5, .longest = 1});
  ASSERT_TRUE(texts.step());
  ASSERT_TRUE(texts.step());  // its prompt is read
  const text_id reader = join(texts, 30, 1);
  for (std::size_t i = 0; i < 30 / 5; ++i) {
    ASSERT_TRUE(texts.running(reader));
    ASSERT_TRUE(texts.step());
  }
  EXPECT_FALSE(texts.running(reader)) << "five rows of six were its own";
  const auto done = *texts.leave(guesser);
  EXPECT_EQ(done.tokens.size(), 1 + 30u / 5);
  EXPECT_EQ(done.guessed, 0u);
}

TEST_F(one_batch, texts_go_on_from_what_a_session_has_run) {
  auto system = *session<V, B>::make(*w, on, {.context = 64, .batch = 6});
  const auto said = some_ids(2 * test::window + 3, V::vocab);
  ASSERT_TRUE(system.run(said));
  auto texts = made({.texts = 4, .context = 48, .rows = 6});
  std::vector<text_id> ids;
  std::vector<std::vector<token_id>> expected;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto prompt = some_ids(3 + i, V::vocab - static_cast<int>(i));
    const generate_options options{.max_tokens = 6, .stop_at_end = false};
    const auto id = texts.join(system, std::span<const token_id>(prompt), options, [](std::string_view) {});
    ASSERT_TRUE(id) << id.error().message;
    ids.push_back(*id);
    auto fresh = *session<V, B>::make(*w, on, {.context = 48, .batch = 6});
    auto whole = said;
    whole.insert(whole.end(), prompt.begin(), prompt.end());
    expected.push_back(
        generate(fresh, letters(), std::span<const token_id>(whole), options, [](std::string_view) {})->tokens);
  }
  while (texts.running() > 0) ASSERT_TRUE(texts.step());
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(texts.leave(ids[i])->tokens, expected[i]);
  EXPECT_EQ(system.size(), said.size());
}

TEST_F(one_batch, a_text_whose_logits_are_no_numbers_stops_alone) {
  weights<V> damaged = *w;
  std::vector<float> table(damaged.embed.rows * V::width);
  for (std::size_t r = 0; r < damaged.embed.rows; ++r)
    dequantise(damaged.embed.type, damaged.embed.row(r), V::width, table.data() + r * V::width);
  std::fill_n(table.begin() + 3 * V::width, V::width, std::numeric_limits<float>::quiet_NaN());
  static_cast<weight_view&>(damaged.embed) =
      matrix_view{reinterpret_cast<const std::byte*>(table.data()), damaged.embed.rows, V::width, storage::f32};
  auto texts = *batch_type::make(damaged, letters(), on, {.texts = 2, .context = 40, .rows = 4});
  const token_id good[] = {1, 2}, bad[] = {1, 3};
  const auto one = *texts.join(std::span(good), {.max_tokens = 1}, [](std::string_view) {});
  const auto other = *texts.join(std::span(bad), {.max_tokens = 1}, [](std::string_view) {});
  ASSERT_TRUE(texts.step());
  EXPECT_EQ(texts.running(), 0u);
  const auto stopped = texts.leave(other);
  ASSERT_FALSE(stopped);
  EXPECT_NE(stopped.error().message.find("is not a number"), std::string::npos) << stopped.error().message;
  EXPECT_EQ(texts.leave(one)->tokens.size(), 1u);
  EXPECT_TRUE(texts.join(std::span(good), {.max_tokens = 1}, [](std::string_view) {})) << "its place is free again";
}

TEST_F(one_batch, stops_where_a_session_would) {
  auto texts = made({.texts = 4, .context = 10, .rows = 4});
  const auto ids = some_ids(6, V::vocab);
  std::size_t pieces = 0;
  const auto full = join(texts, 6, 100);
  const auto nothing = join(texts, 6, 0);
  const auto cancelled = *texts.join(std::span<const token_id>(ids), {.stop_at_end = false, .show_control = true},
                                     [&](std::string_view) { return ++pieces < 1; });
  while (texts.running() > 0) ASSERT_TRUE(texts.step());
  const auto filled = *texts.leave(full);
  EXPECT_EQ(filled.stopped, stop_reason::context_full);
  EXPECT_EQ(filled.tokens.size(), 5u);
  EXPECT_EQ(texts.leave(nothing)->tokens.size(), 0u);
  const auto broken_off = *texts.leave(cancelled);
  EXPECT_EQ(broken_off.stopped, pieces > 0 ? stop_reason::cancelled : stop_reason::context_full);
}

TEST_F(one_batch, its_plan_is_that_of_its_texts) {
  const memory_plan one = session<V, B>::plan(on, {.context = 40, .batch = 12});
  const memory_plan eight = made({.texts = 8, .context = 40, .rows = 12}).plan();
  EXPECT_EQ(eight.cache, 8 * one.cache);
  EXPECT_EQ(eight.scratch, one.scratch);
  EXPECT_FALSE((batch_type::plan(on, {.texts = std::size_t{1} << 60, .context = 4096}).counted()));
}

TEST_F(one_batch, says_what_it_refuses) {
  const auto refused = [&](const batch_options& options) {
    const auto made = batch_type::make(*w, letters(), on, options);
    return made ? std::string() : made.error().message;
  };
  EXPECT_EQ(refused({.texts = 0}), "batch: texts, context and rows must be at least 1");
  EXPECT_EQ(refused({.texts = 9, .rows = 8}), "batch: 9 texts need as many rows of a step; there are 8");
  EXPECT_NE(refused({.texts = 8, .context = std::size_t{1} << 58}).find("could not be had; ask for fewer texts than 8"),
            std::string::npos);
  EXPECT_NE(refused({.cache = {.local = storage::q4_0}}).find("were asked for in Q4_0"), std::string::npos);

  auto texts = made({.texts = 1, .context = 8, .rows = 4});
  const auto why = [&](const auto& joined) { return joined ? std::string() : joined.error().message; };
  const auto quiet = [](std::string_view) {};
  const auto ids = some_ids(9, V::vocab);
  const std::span<const token_id> prompt(ids);
  EXPECT_EQ(why(texts.join(prompt, {}, quiet)),
            "batch: a text may have 8 tokens; 0 were run before and the prompt has 9");
  EXPECT_EQ(why(texts.join(prompt.first(0), {}, quiet)), "batch: there is nothing to run");
  const token_id unknown[] = {V::vocab};
  EXPECT_NE(why(texts.join(std::span<const token_id>(unknown), {}, quiet)).find("outside the vocabulary"),
            std::string::npos);
  EXPECT_NE(why(texts.join(prompt.first(2), {.sampling = {.temperature = -1}}, quiet)).find("temperature"),
            std::string::npos);
  auto behind = *session<V, B>::make(*w, on, {.context = 8, .batch = 8, .first_position = 3});
  EXPECT_EQ(why(texts.join(behind, prompt.first(2), {}, quiet)),
            "batch: a session to go on from must have a first position of 0; it has 3");
  auto longer = *session<V, B>::make(*w, on, {.context = 16, .batch = 8});
  ASSERT_TRUE(longer.run(prompt));
  EXPECT_EQ(why(texts.join(longer, prompt.first(2), {}, quiet)),
            "batch: a text may have 8 tokens; 9 were run before and the prompt has 2");
  EXPECT_EQ(*texts.step(), 0u) << "nothing has joined";
  const auto in = texts.join(prompt.first(2), {}, quiet);
  ASSERT_TRUE(in);
  EXPECT_EQ(why(texts.join(prompt.first(2), {}, quiet)), "batch: all 1 places are taken");
  EXPECT_TRUE(texts.leave(*in));
  EXPECT_EQ(why(texts.leave(*in)), "batch: there is no such text; it never joined, or has left");
}

}  // namespace
}  // namespace g4
