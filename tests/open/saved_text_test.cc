// A text that is forked, or saved and restored, goes on with the bits of the one that went straight on.
#include "g4/open/saved_text.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "tests/model/session_checks.h"
#include "tests/support/faraway.h"
#include "tests/support/own_path.h"
#if defined(G4_WITH_CPU)
#include "g4/backend/cpu.h"
#endif

namespace g4 {
namespace {

using test::logits_of_all;
using test::some_ids;

/// A path that is gone with the test.
struct file_of_a_text {
  file_of_a_text() { std::remove(path.c_str()); }
  ~file_of_a_text() { std::remove(path.c_str()); }
  [[nodiscard]] std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& what) const { std::ofstream(path, std::ios::binary) << what; }
  std::string path = test::own_path("g4_saved_text");
};

template <class T>
std::vector<float> floats(const T& numbers) {
  return {numbers.begin(), numbers.end()};
}

/// From every length around the window: straight on, forked, restored, and restored into a longer context.
template <class V, class B>
void expect_copies_go_straight_on(B& on, const cache_choice& cache = {}) {
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  const file_of_a_text file;
  const auto made = [&](std::size_t context) {
    return *session<V, B>::make(*w, on, {.context = context, .batch = 6, .cache = cache});
  };
  for (const std::size_t length : {std::size_t{1}, test::window - 1, test::window, test::window + 1, std::size_t{25}}) {
    auto straight = made(48);
    ASSERT_TRUE(straight.run(some_ids(length, V::vocab)));
    if (length > 20) {
      ASSERT_TRUE(straight.rewind(length - 3));
    }
    auto forked = straight.fork();
    ASSERT_TRUE(forked) << forked.error().message;
    const auto saved = save(straight, file.path);
    ASSERT_TRUE(saved) << saved.error().message;
    auto restored = made(48), longer = made(64);
    ASSERT_TRUE(longer.run(some_ids(30, V::vocab))) << "which is forgotten";
    for (auto* s : {&restored, &longer}) {
      const auto done = restore(file.path, *s);
      ASSERT_TRUE(done) << done.error().message;
    }
    EXPECT_EQ(floats(restored.hidden()), floats(straight.hidden()));
    EXPECT_EQ(floats(forked->hidden()), floats(straight.hidden()));
    const std::vector<token_id> more = some_ids(14, V::vocab - 3);
    const auto expected = logits_of_all(straight, more);
    for (auto* s : {&*forked, &restored, &longer}) {
      EXPECT_EQ(s->size(), straight.size() - more.size());
      EXPECT_TRUE(logits_of_all(*s, more) == expected) << length << " tokens";
    }
  }
}

TEST(saved_text, goes_straight_on_with_the_reference_backend) {
  backend::reference<float> on;
  expect_copies_go_straight_on<test::tiny_e2b>(on);
  expect_copies_go_straight_on<test::tiny_3n>(on);
  expect_copies_go_straight_on<test::tiny_wide_heads>(on, {.local = storage::q8_0});
}

TEST(saved_text, goes_straight_on_where_the_host_sees_no_memory) {
  test::faraway<float> on;
  expect_copies_go_straight_on<test::tiny_e2b>(on);
}

#if defined(G4_WITH_CPU)
TEST(saved_text, goes_straight_on_with_the_cpu_backend) {
  backend::cpu on;
  expect_copies_go_straight_on<test::tiny_wide_heads>(on);
  expect_copies_go_straight_on<test::tiny_wide_heads>(on, {.local = storage::i16, .global = storage::q8_0});
  backend::cpu fast({.mode = backend::numeric::fast});
  expect_copies_go_straight_on<test::tiny_wide_heads>(fast);
}
#endif

class a_saved_text : public testing::Test {
 protected:
  using V = test::tiny_wide_heads;
  using B = backend::reference<float>;

  void SetUp() override {
    auto text = made({.context = 40, .batch = 6});
    ASSERT_TRUE(text.run(some_ids(11, V::vocab)));
    ASSERT_TRUE(save(text, file.path));
  }
  [[nodiscard]] session<V, B> made(const session_options& options) { return *session<V, B>::make(*w, on, options); }
  /// Why the file is refused; nothing where it is not. A session that refuses one is what it was.
  template <class S>
  [[nodiscard]] std::string why_not(S text) {
    const auto before = text.size();
    const auto done = restore(file.path, text);
    if (done) return "";
    EXPECT_EQ(text.size(), before);
    EXPECT_TRUE(done.error().message.starts_with(file.path + ": ")) << done.error().message;
    return done.error().message.substr(file.path.size() + 2);
  }

  B on;
  test::random_checkpoint checkpoint{V::spec};
  std::shared_ptr<const weights<V>> w = checkpoint.load<V>(on);
  file_of_a_text file;
};

TEST_F(a_saved_text, is_refused_where_it_does_not_fit) {
  EXPECT_EQ(why_not(made({.context = 40, .batch = 6})), "");
  EXPECT_EQ(why_not(made({.context = 11, .batch = 6})), "");
  EXPECT_EQ(why_not(made({.context = 10, .batch = 6})), "holds 11 tokens; this session has a context of 10");
  EXPECT_EQ(why_not(made({.context = 40, .batch = 7})), "a text run in batches of 6; this session's is 7");
  EXPECT_EQ(why_not(made({.context = 40, .batch = 6, .first_position = 2})),
            "a text whose first position is 0; this session's is 2");
  EXPECT_EQ(why_not(made({.context = 40, .batch = 6, .cache = {.global = storage::q8_0}})),
            "keys and values are in F32 (local layers) and F32 (global); this session keeps them in F32 and Q8_0");
  const auto others = test::random_checkpoint(V::spec, 2).load<V>(on);
  EXPECT_NE(w->checkpoint, others->checkpoint);
  EXPECT_EQ(why_not(*session<V, B>::make(*others, on, {.context = 40, .batch = 6})),
            "a text of another checkpoint of tiny_wide_heads; keys and values of other weights mean nothing here");
  using other = test::tiny_gemma3;
  const test::random_checkpoint of_other(other::spec);
  const auto other_weights = of_other.load<other>(on);
  EXPECT_EQ(why_not(*session<other, B>::make(*other_weights, on, {.context = 40, .batch = 6})),
            "a text of tiny_wide_heads; this session's is tiny_gemma3");
}

// Their names begin with the same 48 letters, as many as a file has room for.
struct tiny_wide_heads_tuned_on_letters_of_an_uncle_in_march : test::tiny_wide_heads {};
struct tiny_wide_heads_tuned_on_letters_of_an_uncle_in_may : test::tiny_wide_heads {};

TEST_F(a_saved_text, of_a_long_name_is_none_of_another_that_begins_alike) {
  using in_march = tiny_wide_heads_tuned_on_letters_of_an_uncle_in_march;
  using in_may = tiny_wide_heads_tuned_on_letters_of_an_uncle_in_may;
  const auto march = checkpoint.load<in_march>(on);
  const auto may = checkpoint.load<in_may>(on);
  ASSERT_EQ(march->checkpoint, may->checkpoint) << "nothing but the name keeps them apart";
  const session_options options{.context = 40, .batch = 6};
  auto text = *session<in_march, B>::make(*march, on, options);
  ASSERT_TRUE(text.run(some_ids(11, V::vocab)));
  ASSERT_TRUE(save(text, file.path));
  EXPECT_EQ(why_not(*session<in_march, B>::make(*march, on, options)), "");
  const std::string why = why_not(*session<in_may, B>::make(*may, on, options));
  EXPECT_TRUE(why.starts_with("a text of tiny_wide_heads_tuned_on_lette~")) << why;
  EXPECT_NE(why.find("; this session's is tiny_wide_heads_tuned_on_lette~"), std::string::npos) << why;
}

TEST_F(a_saved_text, is_refused_where_it_is_damaged) {
  const std::string whole = file.bytes();
  for (std::size_t size = 0; size < whole.size(); size += size < 160 ? 1 : 997) {
    file.write(whole.substr(0, size));
    ASSERT_NE(why_not(made({.context = 40, .batch = 6})), "") << size << " bytes";
  }
  file.write(whole + "x");
  EXPECT_NE(why_not(made({.context = 40, .batch = 6})), "");
  for (std::size_t at = 0; at < whole.size(); at += at < 160 ? 1 : 313) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    file.write(flipped);
    ASSERT_NE(why_not(made({.context = 40, .batch = 6})), "") << "byte " << at;
  }
  std::remove(file.path.c_str());
  EXPECT_NE(why_not(made({.context = 40, .batch = 6})), "");
}

/// Whoever made the file saw to its fingerprint: every number in it is checked all the same.
TEST_F(a_saved_text, is_refused_where_its_sizes_lie) {
  const std::string whole = file.bytes();
  const auto lie = [&](std::size_t at, std::uint64_t number) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + at, &number, sizeof number);
    fingerprint print;
    print.add(std::as_bytes(std::span(bytes)).first(bytes.size() - 8));
    const std::uint64_t sum = print.value();
    std::memcpy(bytes.data() + bytes.size() - 8, &sum, sizeof sum);
    file.write(bytes);
    return why_not(made({.context = 40, .batch = 6}));
  };
  constexpr std::size_t size = offsetof(detail::saved_header, size),
                        furthest = offsetof(detail::saved_header, furthest);
  EXPECT_EQ(lie(size, 11), "");
  EXPECT_EQ(lie(size, 12), "says that 12 tokens were run, and that 11 are kept");
  EXPECT_NE(lie(furthest, 12).find("12 tokens take"), std::string::npos);
  EXPECT_NE(lie(furthest, std::uint64_t{1} << 63).find("context of 40"), std::string::npos);
  EXPECT_NE(lie(offsetof(detail::saved_header, number_bytes), 8).find("bytes are 8"), std::string::npos);
}

TEST_F(a_saved_text, of_nothing_is_nothing) {
  ASSERT_TRUE(save(made({.context = 40, .batch = 6}), file.path));
  auto text = made({.context = 40, .batch = 6});
  ASSERT_TRUE(text.run(token_id{3}));
  ASSERT_TRUE(restore(file.path, text));
  EXPECT_EQ(text.size(), 0u);
  EXPECT_TRUE(text.run(token_id{3}));
}

TEST_F(a_saved_text, leaves_the_old_file_where_it_cannot_be_written) {
  const auto saved = save(made({.context = 40, .batch = 6}), testing::TempDir() + "no/such/folder/text.g4");
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("cannot be written"), std::string::npos);
}

}  // namespace
}  // namespace g4
