// The tokenizer against Hugging Face's, on a small vocabulary in its three forms and on the real one; against the
// definition of byte-pair encoding; and its work counted on texts that make careless ones quadratic.
#include "g4/text/tokenizer.h"
#include "g4/text/tokenizer_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "g4/io/gguf_writer.h"
#include "tests/text/files.h"

namespace {

using namespace g4;
using ids = std::vector<token_id>;
using test::data_path;

text::tokenizer small(const std::string& name) {
  auto made = test::open_tokenizer(data_path(name));
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return std::move(*made);
}

struct small_form {
  const char* file;
  bool user_defined_guarded;
};
constexpr small_form forms[] = {{"scores.gguf", false}, {"merges.gguf", true}, {"small.json", false}};

TEST(tokenizer, same_ids_as_hugging_face_from_scores_from_merges_and_from_json) {
  const auto cases = test::read_cases("small_cases.json");
  const auto pieces = cases["pieces"].get<token_id>();
  for (const auto& form : forms) {
    const auto tokens = small(form.file);
    int compared = 0;
    for (const auto& row : cases["rows"]) {
      const auto text = row["text"].get<std::string>();
      const auto expected = row["ids"].get<ids>();
      const bool in_this_file =
          std::none_of(expected.begin(), expected.end(), [&](token_id id) { return id >= pieces; });
      if (!in_this_file && std::string(form.file) != "small.json") continue;
      EXPECT_EQ(*tokens.encode(text, {.parse_special = true}), expected) << form.file << ": " << text;
      EXPECT_EQ(*tokens.decode(expected), row["decoded"].get<std::string>()) << form.file << ": " << text;
      EXPECT_EQ(*tokens.decode(expected, false), row["shown"].get<std::string>()) << form.file << ": " << text;
      if (!form.user_defined_guarded || text.find("b>") == text.npos) {
        const auto plain = row["plain_ids"].get<ids>();
        if (in_this_file && std::none_of(plain.begin(), plain.end(), [&](token_id id) { return id >= pieces; })) {
          EXPECT_EQ(*tokens.encode(text), plain) << form.file << ": " << text;
        }
      }
      ++compared;
    }
    EXPECT_GT(compared, 90) << form.file;
  }
}

TEST(tokenizer, same_ids_from_merges_written_as_pairs_and_before_the_vocabulary) {
  auto document = test::read_cases("small.json");
  const auto expected = small("small.json");
  nlohmann::ordered_json model = {{"type", "BPE"}, {"merges", nlohmann::json::array()}};
  for (const auto& line : document["model"]["merges"]) {
    const auto s = line.get<std::string>();
    model["merges"].push_back({s.substr(0, s.find(' ')), s.substr(s.find(' ') + 1)});
  }
  model["unk_token"] = "<unk>";
  model["vocab"] = document["model"]["vocab"];
  model["byte_fallback"] = true;
  nlohmann::ordered_json turned = {{"model", model}};
  for (const auto& [key, value] : document.items()) {
    if (key != "model") turned[key] = value;
  }
  const auto made = load::tokenizer_from_json(turned.dump(), "turned.json");
  ASSERT_TRUE(made) << made.error().message;
  const auto cases = test::read_cases("small_cases.json");
  for (const auto& row : cases["rows"]) {
    const auto text = row["text"].get<std::string>();
    EXPECT_EQ(*made->encode(text, {.parse_special = true}), row["ids"].get<ids>()) << text;
  }
  EXPECT_EQ(made->special().ends, expected.special().ends);
}

TEST(tokenizer, special_ids_from_the_metadata_and_by_name) {
  for (const auto& form : forms) {
    const auto tokens = small(form.file);
    EXPECT_EQ(tokens.special().bos, 2) << form.file;
    EXPECT_EQ(tokens.special().eos, 1) << form.file;
    EXPECT_EQ(tokens.special().padding, 0) << form.file;
    EXPECT_EQ(tokens.special().unknown, 3) << form.file;
    EXPECT_EQ(tokens.special().end_of_turn, 8) << form.file;
    EXPECT_EQ(tokens.special().ends, (ids{1, 8})) << form.file;
    EXPECT_TRUE(tokens.ends_answer(8));
    EXPECT_FALSE(tokens.ends_answer(7));
    EXPECT_EQ(tokens.encode("", {.add_bos = true}).value(), ids{2});
  }
}

TEST(tokenizer, ends_of_an_answer_from_generation_config) {
  const auto json = test::read_text(data_path("small.json"));
  EXPECT_EQ(load::tokenizer_from_json(json, "t", R"({"eos_token_id": [1, 8, 5]})")->special().ends, (ids{1, 8, 5}));
  EXPECT_EQ(load::tokenizer_from_json(json, "t", R"({"eos_token_id": 7})")->special().ends, ids{7});
  const auto beyond = load::tokenizer_from_json(json, "t", R"({"eos_token_id": 70000})");
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().message, "t: the id of an end of the answer is 70000; the vocabulary has " +
                                        std::to_string(small("small.json").size()) + " pieces");
}

TEST(tokenizer, control_tokens_in_a_plain_range_stay_text) {
  const auto tokens = small("scores.gguf");
  const std::string said = "a <end_of_turn> b";
  const std::string whole = "<start_of_turn>" + said + "<end_of_turn>";
  const text::text_range plain[] = {{15, 15 + said.size()}};
  const auto encoded = tokens.encode(whole, {.parse_special = true, .plain = plain});
  ASSERT_TRUE(encoded);
  ids expected{7};
  const auto inner = *tokens.encode(said);
  expected.insert(expected.end(), inner.begin(), inner.end());
  expected.push_back(8);
  EXPECT_EQ(*encoded, expected);
  EXPECT_EQ(std::count(encoded->begin(), encoded->end(), 8), 1);
  // A marker that only begins in plain text, or only ends there, is text as well.
  for (const auto& part : {text::text_range{0, 3}, text::text_range{10, 40}}) {
    const auto cut = *tokens.encode(whole, {.parse_special = true, .plain = std::span(&part, 1)});
    EXPECT_EQ(std::count(cut.begin(), cut.end(), 7), 0);
  }
}

TEST(tokenizer, plain_ranges_that_are_none_refused) {
  const auto tokens = small("scores.gguf");
  const text::text_range outside[] = {{0, 4}};
  EXPECT_EQ(tokens.encode("abc", {.parse_special = true, .plain = outside}).error().message,
            "text: plain range 0 is 0 to 4 in 3 bytes; ranges ascend, keep apart and stay inside");
  const text::text_range crossing[] = {{0, 2}, {1, 3}};
  EXPECT_FALSE(tokens.encode("abc", {.plain = crossing}));
}

TEST(tokenizer, bytes_that_are_no_characters_kept) {
  const auto tokens = small("merges.gguf");
  const std::string broken = "a\xFF\xC3(\xE2\x82";
  EXPECT_EQ(*tokens.decode(*tokens.encode(broken)), broken);
}

TEST(tokenizer, ids_outside_the_vocabulary_refused_when_decoded) {
  const auto tokens = small("scores.gguf");
  EXPECT_EQ(tokens.decode(ids{5, 70000}).error().message,
            "id 70000 is outside the vocabulary of " + std::to_string(tokens.size()) + " pieces");
  EXPECT_FALSE(tokens.decode(ids{-1}));
}

// Gemma 3n's vocabulary keeps ids free before its image and audio tokens.
TEST(tokenizer, ids_left_free_by_the_vocabulary_decoded_to_nothing) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.added(300, "<soft>", true, false);
  const auto tokens = builder.build({});
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens->encode("a<soft>", {.parse_special = true}), (ids{'a', 300}));
  EXPECT_FALSE(tokens->contains(290));
  EXPECT_EQ(*tokens->decode(ids{290, 300}), "<soft>");
}

// ---- markers, whatever a file says of them ----

/// A vocabulary of the bytes and these pieces from id 256 on, as the keys of a GGUF file.
result<text::tokenizer> from_keys(const std::string& model, const std::vector<std::pair<std::string, int>>& more) {
  std::vector<std::string> pieces;
  std::vector<std::int32_t> kinds;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    pieces.emplace_back(name);
    kinds.push_back(6);
  }
  for (const auto& [piece, kind] : more) {
    pieces.push_back(piece);
    kinds.push_back(kind);
  }
  io::gguf_keys keys;
  keys.string("tokenizer.ggml.model", model).strings("tokenizer.ggml.tokens", pieces);
  keys.i32s("tokenizer.ggml.token_type", kinds);
  if (model == "llama") {
    keys.f32s("tokenizer.ggml.scores", std::vector<float>(pieces.size(), -1.0f));
  } else {
    keys.strings("tokenizer.ggml.merges", std::vector<std::string>{});
  }
  const auto metadata = io::metadata_of(keys, "keys");
  EXPECT_TRUE(metadata);
  return load::tokenizer_from_gguf(*metadata, "m.gguf");
}

ids bytes_of(const std::string& text) {
  ids out;
  for (const char c : text) out.push_back(static_cast<unsigned char>(c));
  return out;
}

TEST(markers, that_a_file_calls_normal_are_control_tokens_and_it_is_said) {
  for (const int kind : {1, 4, 5}) {
    const auto tokens = from_keys("llama", {{"<start_of_turn>", kind}, {"<end_of_turn>", kind}, {"<b>", 4}});
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(tokens->note(),
              "m.gguf: tokenizer.ggml.token_type does not call '<start_of_turn>' and 1 more control tokens; "
              "they are taken as such");
    EXPECT_EQ(*tokens->encode("<start_of_turn>a<end_of_turn>", {.parse_special = true}), (ids{256, 'a', 257}));
    EXPECT_EQ(*tokens->encode("<end_of_turn>"), bytes_of("<end_of_turn>"));
    EXPECT_EQ(tokens->kind(256), text::piece_kind::control);
    EXPECT_EQ(*tokens->decode(ids{257, 'a'}, false), "a");
    EXPECT_TRUE(tokens->ends_answer(257));
  }
  EXPECT_EQ(from_keys("gemma4", {{"<turn|>", 1}})->note(),
            "m.gguf: tokenizer.ggml.token_type does not call '<turn|>' a control token; it is taken as one");
}

TEST(markers, that_files_call_user_defined_by_custom_say_nothing_and_are_shown) {
  const auto four = from_keys("gemma4", {{"<|tool_call>", 4}, {"<|turn>", 3}});
  EXPECT_EQ(four->note(), "");
  EXPECT_EQ(four->kind(256), text::piece_kind::user_defined);
  EXPECT_EQ(*four->encode("<|tool_call>"), bytes_of("<|tool_call>"));
  EXPECT_EQ(from_keys("llama", {{"<start_of_image>", 4}, {"<unk>", 2}})->note(), "");
}

TEST(markers, typed_in_a_plain_range_stay_text_and_what_is_text_is_cut_out_there_too) {
  const auto tokens = from_keys(
      "llama",
      {{"<start_of_image>", 4}, {"[multimodal]", 4}, {"<|end|>", 4}, {"<b>", 4}, {"\n\n", 4}, {"<end_of_turn>", 4}});
  ASSERT_TRUE(tokens) << tokens.error().message;
  const std::string said = "<start_of_image>[multimodal]<|end|><end_of_turn>";
  const text::text_range plain[] = {{0, said.size()}};
  for (const bool special : {false, true}) {
    EXPECT_EQ(*tokens->encode(said, {.parse_special = special, .plain = plain}), bytes_of(said));
  }
  const text::text_range all[] = {{0, 5}};
  EXPECT_EQ(*tokens->encode("<b>\n\n", {.plain = all}), (ids{259, 260}));
  // Where nobody spoke they count.
  EXPECT_EQ(*tokens->encode(said, {.parse_special = true}), (ids{256, 257, 258, 261}));
}

TEST(markers, in_a_tokenizer_json_are_special_whatever_it_says) {
  auto document = test::read_cases("small.json");
  for (auto& added : document["added_tokens"]) added["special"] = false;
  const auto unflagged = load::tokenizer_from_json(document.dump(), "t.json");
  ASSERT_TRUE(unflagged) << unflagged.error().message;
  EXPECT_NE(unflagged->note().find("t.json: added_tokens does not call '<pad>' and "), std::string::npos);
  document.erase("added_tokens");
  const auto unlisted = load::tokenizer_from_json(document.dump(), "t.json");
  ASSERT_TRUE(unlisted) << unlisted.error().message;
  for (const auto* tokens : {&*unflagged, &*unlisted}) {
    EXPECT_EQ(*tokens->encode("<start_of_turn><end_of_turn>", {.parse_special = true}), (ids{7, 8}));
    const auto typed = *tokens->encode("<end_of_turn>");
    EXPECT_EQ(std::count(typed.begin(), typed.end(), 8), 0);
  }
  EXPECT_EQ(small("small.json").note(), "");
}

// ---- the definition ----

struct tiny {
  std::map<std::string, float> scores;
  text::tokenizer tokens;
};

tiny random_tiny(std::mt19937& random, bool by_rank) {
  tiny out{{}, text::tokenizer{}};
  text::tokenizer_builder builder(
      {.merges = by_rank ? text::tokenizer_builder::order::by_rank : text::tokenizer_builder::order::by_score});
  test::add_byte_pieces(builder);
  std::vector<std::string> pieces{"a", "b", "c"};
  for (int i = 0; i < 25; ++i) {
    auto piece = pieces[random() % pieces.size()] + pieces[random() % pieces.size()];
    if (piece.size() < 9) pieces.push_back(piece);
  }
  std::size_t id = 256;
  for (const auto& piece : pieces) {
    if (out.scores.contains(piece)) continue;
    // Few scores, so that ties are common.
    const float score = -static_cast<float>(random() % 8);
    out.scores[piece] = score;
    builder.piece(id++, piece, text::piece_kind::normal, score);
  }
  if (by_rank) {
    // The same order as merges: by score, and within a score by the left neighbour's place, which only the text has; so
    // ranks are made unique first.
    std::vector<std::string> order;
    for (auto& [piece, score] : out.scores) order.push_back(piece);
    std::shuffle(order.begin(), order.end(), random);
    float score = 0;
    for (const auto& piece : order) {
      out.scores[piece] = score--;
      for (std::size_t cut = 1; cut < piece.size(); ++cut) {
        // One rank per piece needs one way to make it; more ways get neighbouring ranks, tested elsewhere.
        if (out.scores.contains(piece.substr(0, cut)) && out.scores.contains(piece.substr(cut))) {
          builder.merge(piece.substr(0, cut), piece.substr(cut));
        }
      }
    }
  }
  auto made = builder.build({});
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  out.tokens = std::move(*made);
  return out;
}

// Join the best-scored pair, the leftmost of equals, until none is left; from the start each time.
std::vector<std::string> defined_pieces(const std::string& text, const std::map<std::string, float>& scores) {
  std::vector<std::string> pieces;
  for (const char c : text) pieces.emplace_back(1, c);
  for (;;) {
    std::size_t best = pieces.size();
    float best_score = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto found = scores.find(pieces[i] + pieces[i + 1]);
      if (found != scores.end() && found->second > best_score) {
        best = i;
        best_score = found->second;
      }
    }
    if (best == pieces.size()) return pieces;
    pieces[best] += pieces[best + 1];
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(tokenizer, same_pieces_as_the_definition_on_random_vocabularies) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const auto t = random_tiny(random, false);
    std::string text;
    for (std::size_t n = random() % 60; n > 0; --n) text += static_cast<char>('a' + random() % 3);
    std::vector<std::string> pieces;
    const auto encoded = t.tokens.encode(text);
    ASSERT_TRUE(encoded);
    for (const token_id id : *encoded) pieces.emplace_back(t.tokens.piece(id));
    EXPECT_EQ(pieces, defined_pieces(text, t.scores)) << text;
  }
}

TEST(tokenizer, earlier_merge_first_whatever_the_piece) {
  // "abc" is a piece, and a+bc is listed, ab+c is not; bc comes before ab.
  text::tokenizer_builder builder({.merges = text::tokenizer_builder::order::by_rank});
  test::add_byte_pieces(builder);
  const char* pieces[] = {"a", "b", "c", "ab", "bc", "abc"};
  for (std::size_t i = 0; i < 6; ++i) builder.piece(256 + i, pieces[i], text::piece_kind::normal);
  builder.merge("b c");
  builder.merge("a", "b");
  builder.merge("a bc");
  const auto tokens = builder.build({});
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens->encode("abc"), ids{261});
  EXPECT_EQ(*tokens->encode("ab"), ids{259});
  EXPECT_EQ(*tokens->encode("aabcb"), (ids{256, 261, 257}));
}

// As SentencePiece does it: with scores only the joined bytes count, so a character that is no piece may be in one.
TEST(tokenizer, characters_that_are_no_pieces_joined_by_score) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.piece(256, "é", text::piece_kind::normal);
  builder.piece(257, "aé", text::piece_kind::normal, -1.0f);
  const auto tokens = builder.build({});
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens->encode("aé"), ids{257});
  EXPECT_EQ(*tokens->encode("éa"), (ids{256, 'a'}));
}

TEST(tokenizer, random_tiny_vocabularies_with_merges_round_trip) {
  std::mt19937 random(5);
  for (int round = 0; round < 100; ++round) {
    const auto t = random_tiny(random, true);
    std::string text;
    for (std::size_t n = random() % 60; n > 0; --n) text += static_cast<char>('a' + random() % 4);
    EXPECT_EQ(*t.tokens.decode(*t.tokens.encode(text)), text);
  }
}

TEST(tokenizer, unknown_characters_fused_only_where_asked) {
  for (const bool fuse : {true, false}) {
    text::tokenizer_builder builder(
        {.merges = text::tokenizer_builder::order::by_rank, .byte_fallback = false, .fuse_unknown = fuse});
    builder.piece(0, "<unk>", text::piece_kind::unknown);
    builder.piece(1, "a", text::piece_kind::normal);
    const auto tokens = builder.build({.unknown = 0});
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(*tokens->encode("aéüa"), fuse ? (ids{1, 0, 1}) : (ids{1, 0, 0, 1}));
  }
}

// ---- work, counted ----

TEST(tokenizer, work_linear_in_the_text_whatever_it_says) {
  std::mt19937 random(11);
  const auto tokens = small("merges.gguf");
  constexpr std::size_t size = 1 << 20;
  std::string letters(size, 'a');
  for (char& c : letters) c = static_cast<char>('a' + random() % 26);
  std::string nonsense(size, '\0');
  for (char& c : nonsense) c = static_cast<char>(random());
  std::string half_tokens;
  while (half_tokens.size() < size) half_tokens += "<start_of_tur";
  for (const std::string& text : {std::string(size, 'a'), std::string(size, ' '), std::string(size, '\n'),
                                  std::string(size, '<'), letters, nonsense, half_tokens}) {
    text::encode_work work;
    const auto encoded = tokens.encode(text, {.parse_special = true}, &work);
    ASSERT_TRUE(encoded);
    // Every character asks once about itself and once about its right neighbour, every merge twice more; a merge leaves
    // one symbol fewer. So nothing depends on the square of anything.
    EXPECT_LE(work.characters, text.size());
    EXPECT_LE(work.lookups, 4 * work.characters);
    EXPECT_LE(work.queued, 3 * work.characters);
  }
}

TEST(tokenizer, a_merge_listed_a_thousand_times_costs_no_more_and_its_last_line_counts) {
  text::tokenizer_builder builder({.merges = text::tokenizer_builder::order::by_rank});
  test::add_byte_pieces(builder);
  const char* pieces[] = {"a", "b", "c", "ab", "bc"};
  for (std::size_t i = 0; i < 5; ++i) builder.piece(256 + i, pieces[i], text::piece_kind::normal);
  for (int i = 0; i < 1000; ++i) builder.merge("a b");
  builder.merge("b c");
  builder.merge("a b");
  const auto tokens = builder.build({});
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens->encode("abc"), (ids{256, 260}));
  const auto lines = tokens->merges();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].left, "b");
  EXPECT_EQ(lines[1].left, "a");
}

TEST(tokenizer, pieces_across_blanks_are_found_and_words_are_merged_one_by_one) {
  const std::string blank(text::visible_blank);
  for (const bool across : {false, true}) {
    text::tokenizer_builder builder({});
    test::add_byte_pieces(builder);
    builder.piece(256, "a", text::piece_kind::normal);
    builder.piece(257, blank, text::piece_kind::normal);
    builder.piece(258, blank + "a", text::piece_kind::normal, -1.0f);
    builder.piece(259, across ? "a" + blank : "aa", text::piece_kind::normal, -0.5f);
    const auto tokens = builder.build({});
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(*tokens->encode("a a a"), across ? (ids{259, 259, 256}) : (ids{256, 258, 258}));
    // A blank that a broken character takes along is none.
    EXPECT_EQ(tokens->encode("\xC3 a")->front(), 0xC3);
  }
}

// ---- vocabularies that are refused ----

std::string refusal(text::tokenizer_builder& builder, text::special_ids special = {}) {
  auto made = builder.build(std::move(special));
  return made ? "accepted" : made.error().message;
}

TEST(tokenizer_builder, an_empty_vocabulary_refused) {
  text::tokenizer_builder builder({});
  EXPECT_EQ(refusal(builder), "the vocabulary is empty");
}

TEST(tokenizer_builder, missing_byte_pieces_refused) {
  text::tokenizer_builder builder({});
  builder.piece(0, "a", text::piece_kind::normal);
  EXPECT_EQ(refusal(builder), "the vocabulary has no piece for byte 0 (<0x00> to <0xFF> are needed)");
}

TEST(tokenizer_builder, byte_pieces_that_are_none_refused) {
  text::tokenizer_builder builder({});
  builder.piece(0, "<0xG0>", text::piece_kind::byte);
  EXPECT_EQ(refusal(builder), "byte piece 0 is '<0xG0>'; expected <0x00> to <0xFF>");
}

TEST(tokenizer_builder, a_piece_twice_refused) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.piece(256, "a", text::piece_kind::normal);
  builder.piece(257, "a", text::piece_kind::normal);
  EXPECT_EQ(refusal(builder), "piece 257 and piece 256 are both 'a'");
}

TEST(tokenizer_builder, an_id_twice_refused) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.piece(7, "a", text::piece_kind::normal);
  EXPECT_EQ(refusal(builder), "piece 7 is given twice");
}

TEST(tokenizer_builder, a_score_that_is_no_number_refused) {
  text::tokenizer_builder builder({});
  builder.piece(3, "a", text::piece_kind::normal, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(refusal(builder), "the score of piece 3 is not a number");
}

TEST(tokenizer_builder, an_unknown_type_refused) {
  text::tokenizer_builder builder({});
  builder.piece(3, "a", static_cast<text::piece_kind>(9));
  EXPECT_EQ(refusal(builder), "piece 3 has type 9; types are 1 to 6");
}

TEST(tokenizer_builder, ids_beyond_any_vocabulary_refused) {
  text::tokenizer_builder builder({});
  builder.piece(std::size_t{1} << 40, "a", text::piece_kind::normal);
  EXPECT_EQ(
      refusal(builder),
      "piece 1099511627776 (1 bytes) is beyond the limits of 1048576 pieces, 4096 bytes each and 1073741824 together");
  text::tokenizer_builder far({});
  test::add_byte_pieces(far);
  far.piece(100'000, "a", text::piece_kind::normal);
  EXPECT_EQ(refusal(far), "the vocabulary has 257 pieces but ids up to 100000");
}

TEST(tokenizer_builder, special_ids_out_of_range_refused) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  EXPECT_EQ(refusal(builder, {.bos = 256}), "the id of bos is 256; the vocabulary has 256 pieces");
}

TEST(tokenizer_builder, merges_that_make_no_piece_refused) {
  const auto with_merge = [](const char* line) {
    text::tokenizer_builder builder({.merges = text::tokenizer_builder::order::by_rank});
    test::add_byte_pieces(builder);
    builder.piece(256, "a", text::piece_kind::normal);
    builder.merge(line);
    return refusal(builder);
  };
  EXPECT_EQ(with_merge("a b"), "merge 0 makes 'ab', which is not in the vocabulary");
  EXPECT_EQ(with_merge("ab"), "merge 0 is 'ab'; expected two pieces with one blank between");
  EXPECT_EQ(with_merge("a b c"), "merge 0 is 'a b c'; expected two pieces with one blank between");
  EXPECT_EQ(with_merge(" a"), "merge 0 has an empty half");
}

TEST(tokenizer_builder, merges_that_make_control_tokens_refused) {
  text::tokenizer_builder builder({.merges = text::tokenizer_builder::order::by_rank});
  test::add_byte_pieces(builder);
  builder.piece(256, "<e", text::piece_kind::normal);
  builder.piece(257, "os>", text::piece_kind::normal);
  builder.piece(258, "<eos>", text::piece_kind::control);
  builder.merge("<e os>");
  EXPECT_EQ(refusal(builder), "merge 0 makes '<eos>', which is no text but a token with a meaning");
}

TEST(tokenizer_builder, errors_on_one_line_however_long_the_piece) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.piece(256, std::string(100, '\n'), text::piece_kind::normal);
  builder.piece(257, std::string(100, '\n'), text::piece_kind::normal);
  EXPECT_EQ(refusal(builder), "piece 257 and piece 256 are both '" + std::string(64, '?') + "...'");
}

// A control token of one character is still no text.
TEST(tokenizer, a_control_token_of_one_character_only_when_asked_for) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.piece(256, "a", text::piece_kind::control);
  const auto tokens = builder.build({});
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens->encode("a"), ids{'a'});
  EXPECT_EQ(*tokens->encode("a", {.parse_special = true}), ids{256});
}

TEST(tokenizer_builder, an_added_token_with_another_text_refused) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  builder.added(65, "A", false, false);
  EXPECT_EQ(refusal(builder), "added token 65 is 'A' but the vocabulary has '<0x41>' there");
}

// ---- files that are refused ----

std::string json_refusal(const std::string& path, const nlohmann::json& value) {
  auto document = test::read_cases("small.json");
  document[nlohmann::json::json_pointer(path)] = value;
  const auto made = load::tokenizer_from_json(document.dump(), "t.json");
  return made ? "accepted" : made.error().message;
}

TEST(tokenizer_json, other_kinds_of_tokenizer_refused) {
  EXPECT_EQ(json_refusal("/model/type", "Unigram"), "t.json: model.type is 'Unigram'; expected 'BPE'");
  EXPECT_EQ(json_refusal("/model/ignore_merges", true), "t.json: model.ignore_merges is true; g4 does not know it");
  EXPECT_EQ(json_refusal("/model/end_of_word_suffix", "</w>"),
            "t.json: model.end_of_word_suffix is set; g4 does not know it");
  EXPECT_EQ(json_refusal("/model/dropout", 0.1), "t.json: model.dropout is set; g4 does not know it");
  EXPECT_EQ(json_refusal("/normalizer", {{"type", "NFC"}}),
            "t.json: the normalizer is not Gemma's, which replaces ' ' by U+2581");
  EXPECT_EQ(json_refusal("/pre_tokenizer", {{"type", "ByteLevel"}}),
            "t.json: the pre_tokenizer is not Gemma's, which splits at ' ' or not at all");
  EXPECT_EQ(json_refusal("/added_tokens/0/lstrip", true),
            "t.json: the added token '<pad>' has lstrip, which g4 does not know");
  EXPECT_EQ(json_refusal("/pre_tokenizer", nullptr), "accepted");
}

TEST(tokenizer_json, damage_refused) {
  EXPECT_EQ(json_refusal("/model/vocab/a", "x"), "t.json: model.vocab holds something other than ids");
  EXPECT_EQ(json_refusal("/model/merges/0", 7), "t.json: model.merges holds something other than pairs of pieces");
  EXPECT_EQ(json_refusal("/model/merges/0", {"a"}), "t.json: model.merges holds a list of fewer than two pieces");
  EXPECT_EQ(json_refusal("/model/merges/0", {"a", "b", "c"}),
            "t.json: model.merges holds a list of more than two pieces");
  EXPECT_EQ(json_refusal("/model/merges/0", "zzzz qqqq"),
            "t.json: merge 0 makes 'zzzzqqqq', which is not in the vocabulary");
  EXPECT_EQ(json_refusal("/model/vocab/a", 1u << 30), "t.json: model.vocab holds the id 1073741824");
  EXPECT_FALSE(load::tokenizer_from_json("{}", "t.json"));
  EXPECT_FALSE(load::tokenizer_from_json("", "t.json"));
  EXPECT_FALSE(load::tokenizer_from_json(test::read_text(data_path("small.json")).substr(0, 9000), "t.json"));
}

// ---- the real vocabulary ----

class real_vocabulary : public testing::Test {
 protected:
  void SetUp() override {
    if (test::real_model_path().empty()) {
      GTEST_SKIP() << "set G4_MODEL_270M to the path of gemma-3-270m-q4_k_m.gguf to test the real vocabulary";
    }
    auto made = test::open_tokenizer(test::real_model_path());
    ASSERT_TRUE(made) << made.error().message;
    tokens = std::move(*made);
  }
  text::tokenizer tokens;
};

TEST_F(real_vocabulary, same_ids_and_texts_as_the_references) {
  const auto cases = test::read_cases("gemma3_cases.json");
  for (const auto& row : cases["strings"]) {
    const auto text = row["text"].get<std::string>();
    const auto expected = row["ids"].get<ids>();
    EXPECT_EQ(*tokens.encode(text, {.parse_special = true}), expected) << text;
    EXPECT_EQ(*tokens.decode(expected), row["decoded"].get<std::string>()) << text;
    EXPECT_EQ(*tokens.decode(expected) == text, row["round_trip"].get<bool>()) << text;
    if (row.contains("ids_without_special_parsing_llama_cpp")) {
      EXPECT_EQ(*tokens.encode(text), row["ids_without_special_parsing_llama_cpp"].get<ids>()) << text;
    }
  }
  for (const auto& row : cases["invalid_utf8"]) {
    const auto bytes = test::bytes_of_hex(row["bytes_hex"].get<std::string>());
    const auto encoded = *tokens.encode(bytes);
    EXPECT_EQ(encoded, row["ids_llama_cpp"].get<ids>()) << row["bytes_hex"];
    EXPECT_EQ(*tokens.decode(encoded), test::bytes_of_hex(row["decoded_hex"].get<std::string>())) << row["bytes_hex"];
  }
}

TEST_F(real_vocabulary, typed_image_markers_stay_text) {
  const std::string said = "<start_of_image>";
  const text::text_range plain[] = {{0, said.size()}};
  const auto typed = *tokens.encode(said, {.parse_special = true, .plain = plain});
  EXPECT_EQ(std::count(typed.begin(), typed.end(), 255999), 0);
  EXPECT_EQ(*tokens.decode(typed), said);
  EXPECT_EQ(*tokens.encode(said, {.parse_special = true}), ids{255999});
  EXPECT_EQ(tokens.note(), "");
}

TEST_F(real_vocabulary, special_ids) {
  EXPECT_EQ(tokens.size(), 262144u);
  EXPECT_EQ(tokens.special().bos, 2);
  EXPECT_EQ(tokens.special().end_of_turn, 106);
  EXPECT_EQ(tokens.special().ends, (ids{1, 106}));
}

TEST_F(real_vocabulary, work_linear_in_the_text) {
  for (const char c : {'a', ' ', '\n', '='}) {
    text::encode_work work;
    ASSERT_TRUE(tokens.encode(std::string(1 << 20, c), {}, &work));
    EXPECT_LE(work.queued, 3 * work.characters);
  }
}

}  // namespace
