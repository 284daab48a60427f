// Streaming: whole characters only, nothing lost, nothing allocated.
#include "g4/text/utf8_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "g4/text/utf8.h"
#include "tests/text/files.h"

namespace {

using namespace g4;

text::tokenizer tokens() { return std::move(*test::open_tokenizer(test::data_path("scores.gguf"))); }
std::string byte_name(unsigned byte) {
  char name[8];
  std::snprintf(name, sizeof name, "<0x%02X>", byte);
  return name;
}

TEST(utf8_stream, every_piece_whole_and_their_sum_the_text) {
  const auto t = tokens();
  const auto cases = test::read_cases("small_cases.json");
  for (const auto& row : cases["rows"]) {
    text::utf8_stream stream(t, true);
    std::string all;
    const auto encoded = t.encode(row["text"].get<std::string>());
    ASSERT_TRUE(encoded);
    for (const token_id id : *encoded) {
      const auto shown = stream.push(id);
      EXPECT_TRUE(is_utf8(shown));
      all += shown;
    }
    EXPECT_EQ(stream.finish(), "");
    EXPECT_EQ(all, *t.decode(*encoded));
  }
}

// Pushes the bytes one token each, and a word after them.
std::string streamed(const std::string& bytes, bool word_after) {
  const auto t = tokens();
  text::utf8_stream stream(t);
  std::string all;
  for (const char c : bytes) all += stream.push(t.find(byte_name(static_cast<unsigned char>(c))));
  if (word_after) all += stream.push(t.find("a"));
  all += stream.finish();
  return all;
}

TEST(utf8_stream, a_character_held_until_its_last_byte) {
  const auto t = tokens();
  text::utf8_stream stream(t);
  EXPECT_EQ(stream.push(t.find("<0xF0>")), "");
  EXPECT_EQ(stream.push(t.find("<0x9F>")), "");
  EXPECT_EQ(stream.push(t.find("<0x99>")), "");
  EXPECT_EQ(stream.push(t.find("<0x82>")), "🙂");
}

TEST(utf8_stream, one_replacement_for_each_byte_of_a_broken_character) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(streamed("\xFF", false), r);
  EXPECT_EQ(streamed("\xE2\x82", true), r + r + "a");
  EXPECT_EQ(streamed("\xF0\x9F\x99", false), r + r + r);
  EXPECT_EQ(streamed("\xC0\x80", true), r + r + "a");
  EXPECT_EQ(streamed("\xED\xA0\x80", false), r + r + r);
  EXPECT_EQ(streamed("\xF0\x9F"
                     "b",
                     true),
            r + r + "ba");
  EXPECT_EQ(streamed("\xC3\xC3\xA9", true), r + "éa");
  EXPECT_EQ(streamed("\xF5\x80\x80\x80", false), r + r + r + r);
}

TEST(utf8_stream, control_tokens_shown_only_on_request) {
  const auto t = tokens();
  const auto id = t.find("<end_of_turn>");
  EXPECT_EQ(text::utf8_stream(t).push(id), "");
  EXPECT_EQ(text::utf8_stream(t, true).push(id), "<end_of_turn>");
}

TEST(utf8_stream, ids_beyond_the_vocabulary_shown_as_nothing) {
  const auto t = tokens();
  text::utf8_stream stream(t);
  EXPECT_EQ(stream.push(1 << 20), "");
  EXPECT_EQ(stream.push(-1), "");
  EXPECT_EQ(stream.push(t.find("a")), "a");
}

TEST(utf8_stream, visible_blanks_shown_as_blanks) {
  const auto t = tokens();
  text::utf8_stream stream(t);
  EXPECT_EQ(stream.push(t.find("\xE2\x96\x81")), " ");
}

TEST(utf8, same_blanks_as_python_strip) {
  EXPECT_EQ(
      text::trimmed("\t\n\v\f\r\x1c\x1d\x1e\x1f x \xC2\x85\xC2\xA0\xE1\x9A\x80\xE2\x80\x80\xE2\x80\x8A\xE2\x80\xA8"
                    "\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\x9F\xE3\x80\x80"),
      "x");
  EXPECT_EQ(text::trimmed("\xE2\x80\x8B"), "\xE2\x80\x8B");  // a blank of no width is none
  EXPECT_EQ(text::trimmed(" \n "), "");
  EXPECT_EQ(text::trimmed(""), "");
}

}  // namespace
