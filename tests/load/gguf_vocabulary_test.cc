// A tokenizer.json's tokenizer written as GGUF keys and read back: the same ids for every text, in both forms.
#include "g4/load/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "g4/io/mapped_file.h"
#include "g4/load/tokenizer.h"
#include "g4/text/tokenizer_builder.h"

namespace g4::load {
namespace {

text::tokenizer small() {
  const std::string path = std::string(G4_SOURCE_DIR) + "/tests/text/data/small.json";
  const auto file = io::map_file(path);
  auto made = tokenizer_from_json(io::text_of((*file)->bytes()), path);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

text::tokenizer read_back(const io::gguf_keys& keys) {
  const auto metadata = io::metadata_of(keys, "keys");
  EXPECT_TRUE(metadata) << metadata.error().message;
  auto made = tokenizer_from_gguf(*metadata, "keys");
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

const char* const texts[] = {"The three laws of thermodynamics are",
                             "She sells sea shells by the sea shore; surely sea shells.",
                             "    if (a == b) return a;        while (true)",
                             "na\xc3\xafve caf\xc3\xa9 r\xc3\xa9sum\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
                             "<b>bold</b> <start_of_turn>user\nhello<end_of_turn>",
                             "aaaaaaaaaaaaaaa bbbb abababab \n\n\n\n\t\t",
                             "\xff\xfe broken",
                             ""};

void expect_same_ids(generation g) {
  const text::tokenizer from = small();
  io::gguf_keys keys;
  const auto added = add_vocabulary(keys, from, g, from.size() + 3, "small");
  ASSERT_TRUE(added) << added.error().message;
  const text::tokenizer to = read_back(keys);
  EXPECT_EQ(to.size(), from.size() + 3);
  EXPECT_EQ(to.special().bos, from.special().bos);
  EXPECT_EQ(to.special().eos, from.special().eos);
  EXPECT_EQ(to.special().ends, from.special().ends);
  for (const std::string text : texts) {
    // What a GGUF of Gemma 4 calls user-defined counts only where control tokens do; see tokenizer.h.
    if (g == generation::gemma4 && text.starts_with("<b>")) continue;
    for (const bool special : {false, true}) {
      EXPECT_EQ(*to.encode(text, {.parse_special = special, .add_bos = true}),
                *from.encode(text, {.parse_special = special, .add_bos = true}))
          << text;
    }
  }
}

TEST(gguf_vocabulary, scores_that_join_as_the_merges_do) { expect_same_ids(generation::gemma3); }
TEST(gguf_vocabulary, merges_in_their_order) { expect_same_ids(generation::gemma4); }

TEST(gguf_vocabulary, merges_read_back_as_they_were) {
  const text::tokenizer from = small();
  io::gguf_keys keys;
  ASSERT_TRUE(add_vocabulary(keys, from, generation::gemma4, from.size(), "small"));
  const text::tokenizer back = read_back(keys);
  const auto before = from.merges();
  const auto after = back.merges();
  ASSERT_EQ(before.size(), after.size());
  ASSERT_GT(before.size(), 500u);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].left, after[i].left);
    EXPECT_EQ(before[i].right, after[i].right);
    EXPECT_EQ(before[i].made, after[i].made);
  }
}

TEST(gguf_vocabulary, rows_without_a_piece_named_and_never_met) {
  const text::tokenizer from = small();
  io::gguf_keys keys;
  ASSERT_TRUE(add_vocabulary(keys, from, generation::gemma3, from.size() + 1, "small"));
  const text::tokenizer to = read_back(keys);
  const auto last = static_cast<token_id>(from.size());
  EXPECT_EQ(to.piece(last), "[PAD" + std::to_string(last) + "]");
  EXPECT_EQ(to.kind(last), text::piece_kind::unused);
}

TEST(gguf_vocabulary, markers_of_gemma4_shown) {
  text::tokenizer_builder builder({.merges = text::tokenizer_builder::order::by_rank, .byte_fallback = false});
  builder.piece(0, "<|channel>", text::piece_kind::control);
  builder.piece(1, "<unk>", text::piece_kind::control);
  const auto from = builder.build({.unknown = 1});
  ASSERT_TRUE(from) << from.error().message;
  for (const auto& [g, kind] : {std::pair{generation::gemma4, 4}, std::pair{generation::gemma3, 3}}) {
    io::gguf_keys keys;
    ASSERT_TRUE(add_vocabulary(keys, *from, g, 2, "two"));
    const auto metadata = io::metadata_of(keys, "keys");
    EXPECT_EQ((*metadata->integers("tokenizer.ggml.token_type"))[0], kind);
    EXPECT_EQ((*metadata->integers("tokenizer.ggml.token_type"))[1], 3);
  }
}

TEST(gguf_vocabulary, text_beyond_the_table_refused_and_special_tokens_beyond_it_left_out) {
  const text::tokenizer from = small();
  io::gguf_keys keys;
  const auto refused = add_vocabulary(keys, from, generation::gemma3, 900, "small");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "small: has " + std::to_string(from.size()) + " pieces; the model's embedding table has 900 rows");

  text::tokenizer_builder builder({.merges = text::tokenizer_builder::order::by_rank, .byte_fallback = false});
  builder.piece(0, "<unk>", text::piece_kind::control);
  builder.piece(1, "a", text::piece_kind::normal);
  builder.piece(2, "<image_soft_token>", text::piece_kind::control);
  const auto image = builder.build({.unknown = 0});
  ASSERT_TRUE(image);
  io::gguf_keys two;
  ASSERT_TRUE(add_vocabulary(two, *image, generation::gemma3, 2, "image"));
  EXPECT_EQ(io::metadata_of(two, "keys")->strings("tokenizer.ggml.tokens")->size(), 2u);
}

}  // namespace
}  // namespace g4::load
