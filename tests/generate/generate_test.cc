// The loop from prompt to answer, over a session that says what it is told to.
#include "g4/generate/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "g4/text/tokenizer_builder.h"

namespace g4 {
namespace {

/// Answers with these ids, one after the other.
struct speaker {
  struct options_t {
    std::size_t context = 64;
  };
  std::vector<token_id> answer;
  std::size_t said = 0;
  std::size_t size_ = 0;
  options_t options_{};
  std::vector<float> logits = std::vector<float>(8);
  std::vector<token_id> prompt{};

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t vocabulary() const { return logits.size(); }
  [[nodiscard]] const options_t& options() const { return options_; }
  result<std::span<const float>> run(std::span<const token_id> ids) {
    if (size_ == 0) prompt.assign(ids.begin(), ids.end());
    size_ += ids.size();
    logits.assign(logits.size(), 0);
    logits[static_cast<std::size_t>(answer[said++ % answer.size()])] = 1;
    return std::span<const float>(logits);
  }
  result<std::span<const float>> run(token_id id) { return run(std::span<const token_id>(&id, 1)); }
};

text::tokenizer words() {
  text::tokenizer_builder builder({.byte_fallback = false});
  builder.piece(0, "<unk>", text::piece_kind::unknown);
  builder.piece(1, "a\xC3", text::piece_kind::normal);  // ends in half a character
  builder.piece(2, "b", text::piece_kind::normal);
  builder.piece(3, "[multimodal]", text::piece_kind::user_defined, 0, text::cut_out::where_nobody_spoke);
  return *builder.build({.unknown = 0});
}

TEST(generate, calls_back_no_more_once_it_was_told_to_stop) {
  const text::tokenizer vocabulary = words();
  speaker session{{2, 1, 2}};
  std::vector<std::string> heard;
  const token_id prompt[] = {2};
  const auto done = generate(session, vocabulary, prompt, {.max_tokens = 9}, [&](std::string_view piece) {
    heard.emplace_back(piece);
    return heard.size() < 2;
  });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->stopped, stop_reason::cancelled);
  EXPECT_EQ(heard, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(done->tokens, (std::vector<token_id>{2, 1}));
}

/// A speaker that goes on by itself with what is the likeliest, until `alone` tokens were chosen: then somebody must look.
struct ahead_speaker : speaker {
  std::size_t alone = 100;
  std::vector<token_id> ran{};
  using speaker::run;
  result<std::span<const float>> run_ahead(token_id id, std::size_t most, auto&& see) {
    for (std::size_t i = 0;; ++i) {
      ran.push_back(id);
      const auto shown = *run(id);
      if (alone == 0) return shown;
      --alone;
      id = static_cast<token_id>(std::max_element(shown.begin(), shown.end()) - shown.begin());
      if (!see(id) || i + 1 == most) return std::span<const float>{};
    }
  }
};

TEST(generate, a_session_goes_on_by_itself_where_the_likeliest_is_always_next) {
  const text::tokenizer vocabulary = words();
  const token_id prompt[] = {2};
  for (const std::size_t stop : {0u, 3u}) {
    for (const std::size_t most : {1u, 2u, 7u, 80u}) {
      const std::vector<token_id> answer{2, 2, 1, 2, 1, 1};
      const auto say = [&](auto session, std::string& heard) {
        std::size_t pieces = 0;
        auto done = *generate(session, vocabulary, prompt, {.max_tokens = most}, [&](std::string_view piece) {
          heard += piece;
          return ++pieces != stop;
        });
        return std::tuple(done.tokens, done.stopped, session.size_);
      };
      std::string want, got, handed;
      const auto waiting = say(speaker{answer}, want);
      EXPECT_EQ(say(ahead_speaker{{answer}}, got), waiting);
      EXPECT_EQ(say(ahead_speaker{{answer}, 2}, handed), waiting);  // two alone, the third is looked at, and on
      EXPECT_EQ(got, want);
      EXPECT_EQ(handed, want);
    }
  }
  ahead_speaker greedy{{{2}}}, drawing{{{2}}};
  ASSERT_TRUE(generate(greedy, vocabulary, prompt, {.max_tokens = 5}, [](std::string_view) {}));
  EXPECT_EQ(greedy.ran.size(), 4u);
  const sample::sampler_options penalty{.repetition_penalty = 1.5f};
  ASSERT_TRUE(generate(drawing, vocabulary, prompt, {.max_tokens = 5, .sampling = penalty}, [](std::string_view) {}));
  EXPECT_TRUE(drawing.ran.empty());
}

TEST(generate, shows_half_a_character_where_the_answer_ends_in_one) {
  const text::tokenizer vocabulary = words();
  speaker session{{1}};
  std::string heard;
  const token_id prompt[] = {2};
  ASSERT_TRUE(
      generate(session, vocabulary, prompt, {.max_tokens = 1}, [&](std::string_view piece) { heard += piece; }));
  EXPECT_EQ(heard, "a\xEF\xBF\xBD");
}

TEST(generate, reads_markers_in_a_text_as_text) {
  const text::tokenizer vocabulary = words();
  speaker session{{2}};
  ASSERT_TRUE(generate(session, vocabulary, "b[multimodal]", {.max_tokens = 1}, [](std::string_view) {}));
  for (const token_id id : session.prompt) EXPECT_NE(id, 3);
}

}  // namespace
}  // namespace g4
