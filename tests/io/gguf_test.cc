#include "g4/io/gguf.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "g4/io/json.h"
#include "tests/io/files.h"

namespace {

using g4::io::gguf_file;
using g4::io::read_gguf;
using g4::test::bytes_of_text;
using g4::test::gguf_builder;
using g4::test::little;
using g4::test::why;

/// Keeps the bytes alive beside what was read from them.
struct read_back {
  std::string bytes;
  g4::result<gguf_file> file;
  explicit read_back(std::string b) : bytes(std::move(b)), file(read_gguf(bytes_of_text(bytes), "m.gguf")) {}
  explicit read_back(const gguf_builder& b) : read_back(b.bytes()) {}
};

#define EXPECT_DAMAGED(file_bytes, part)          \
  do {                                            \
    const read_back damaged(file_bytes);          \
    EXPECT_REFUSED(damaged.file, "m.gguf", part); \
  } while (false)

gguf_builder small() {
  gguf_builder b;
  b.string("general.architecture", "gemma3").u32("gemma3.block_count", 2);
  b.tensor("a.weight", {4, 2}, 0, 0).tensor("b.weight", {32}, 8, 32);
  b.data = std::string(32, 'x') + std::string(34, 'y');
  return b;
}

TEST(gguf, tensors_with_sizes_outermost_first) {
  const read_back in(small());
  ASSERT_TRUE(in.file) << why(in.file);
  const auto* a = in.file->tensors.find("a.weight");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dims, (g4::io::extents{2, 4}));
  EXPECT_EQ(a->dims.columns(), 4u);
  EXPECT_EQ(a->dims.rows(), 2u);
  EXPECT_EQ(a->type.weights, g4::storage::f32);
  EXPECT_EQ(g4::io::text_of(a->bytes), std::string(32, 'x'));
  const auto* b = in.file->tensors.find("b.weight");
  EXPECT_EQ(b->type.weights, g4::storage::q8_0);
  EXPECT_EQ(g4::io::text_of(b->bytes), std::string(34, 'y'));
  EXPECT_EQ(in.file->tensors.tensors()[0].name, "a.weight");
}

TEST(gguf, version_2) {
  gguf_builder b = small();
  b.version = 2;
  const read_back in(b);
  ASSERT_TRUE(in.file) << why(in.file);
  EXPECT_EQ(in.file->version, 2u);
}

TEST(gguf, an_alignment_of_its_own) {
  gguf_builder b;
  b.u32("general.alignment", 128).alignment = 128;
  b.tensor("a", {1}, 0, 0).tensor("b", {1}, 0, 128);
  b.data = "aaaa" + std::string(124, '\0') + "bbbb";
  const read_back in(b);
  ASSERT_TRUE(in.file) << why(in.file);
  EXPECT_EQ(g4::io::text_of(in.file->tensors.find("b")->bytes), "bbbb");
}

TEST(gguf, a_vocabulary_without_tensors) {
  gguf_builder b;
  b.string("a", "b");
  EXPECT_TRUE(read_back(b.head()).file);
}

TEST(gguf, gaps_between_tensors) {
  gguf_builder b = small();
  b.tensor("c", {1}, 0, 256);
  b.data.resize(260);
  EXPECT_TRUE(read_back(b).file);
}

TEST(gguf_metadata, every_type_of_value) {
  gguf_builder b;
  b.key("u8", 0, little<std::uint8_t>(200)).key("i8", 1, little<std::int8_t>(-100));
  b.key("u16", 2, little<std::uint16_t>(60'000)).key("i16", 3, little<std::int16_t>(-30'000));
  b.key("u32", 4, little<std::uint32_t>(4'000'000'000)).key("i32", 5, little<std::int32_t>(-2'000'000'000));
  b.key("f32", 6, little(1.5f)).key("yes", 7, "\1").key("no", 7, std::string(1, '\0'));
  b.string("text", "caf\xc3\xa9").string("empty", "");
  b.key("u64", 10, little<std::uint64_t>(1ull << 60)).key("i64", 11, little<std::int64_t>(-(1ll << 60)));
  b.key("f64", 12, little(0.25)).key("large", 10, little<std::uint64_t>(1ull << 63));
  b.key("infinite", 6, little(std::numeric_limits<float>::infinity()));
  const read_back in(b);
  ASSERT_TRUE(in.file) << why(in.file);
  const auto& meta = in.file->metadata;
  EXPECT_EQ(meta.u64("u8").value(), 200u);
  EXPECT_EQ(meta.i64("i8").value(), -100);
  EXPECT_EQ(meta.u64("u16").value(), 60'000u);
  EXPECT_EQ(meta.i64("i16").value(), -30'000);
  EXPECT_EQ(meta.u64("u32").value(), 4'000'000'000u);
  EXPECT_EQ(meta.i64("i32").value(), -2'000'000'000);
  EXPECT_EQ(meta.f32("f32").value(), 1.5f);
  EXPECT_TRUE(meta.boolean("yes").value());
  EXPECT_FALSE(meta.boolean("no").value());
  EXPECT_EQ(meta.string("text").value(), "caf\xc3\xa9");
  EXPECT_EQ(meta.string("empty").value(), "");
  EXPECT_EQ(meta.u64("u64").value(), 1ull << 60);
  EXPECT_EQ(meta.i64("i64").value(), -(1ll << 60));
  EXPECT_EQ(meta.f32("f64").value(), 0.25f);
  EXPECT_FALSE(meta.has("nothing"));
  EXPECT_EQ(meta.values().size(), 16u);

  EXPECT_REFUSED(meta.u64("nothing"), "m.gguf", "the key nothing is missing; expected a whole number");
  EXPECT_REFUSED(meta.u64("i8"), "m.gguf", "i8 is -100; expected no negative number");
  EXPECT_REFUSED(meta.u64("large"), "m.gguf", "the key large holds a number above 2^63");
  EXPECT_REFUSED(meta.u64("f32"), "m.gguf", "the key f32 is of type f32; expected a whole number");
  EXPECT_REFUSED(meta.f32("u32"), "m.gguf", "the key u32 is of type u32; expected a float");
  EXPECT_REFUSED(meta.f32("infinite"), "m.gguf", "infinite is not a finite number");
  EXPECT_REFUSED(meta.string("u8"), "m.gguf", "the key u8 is of type u8; expected a string");
  EXPECT_REFUSED(meta.boolean("u8"), "m.gguf", "the key u8 is of type u8; expected a bool");
  EXPECT_REFUSED(meta.strings("u8"), "m.gguf", "the key u8 is of type u8; expected a list of strings");
}

TEST(gguf_metadata, arrays_where_they_lie) {
  gguf_builder b;
  b.string("odd", "x");  // what follows is at odd addresses
  b.strings("tokens", {"<pad>", "", "\xe2\x96\x81the", std::string("a\0b", 3)});
  b.array<float>("scores", 6, {-1.0f, 0.5f}).array<double>("wide", 12, {0.1});
  b.array<std::int32_t>("types", 5, {3, -1, 6}).array<std::uint8_t>("flags", 7, {1, 0, 1});
  b.array<std::uint32_t>("widths", 4, {7, 4'000'000'000}).array<float>("none", 6, {}).u32("single", 9);
  b.array<std::uint64_t>("large", 10, {1, ~0ull});
  const read_back in(b);
  ASSERT_TRUE(in.file) << why(in.file);
  const auto& meta = in.file->metadata;
  const auto tokens = meta.strings("tokens");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->size(), 4u);
  const std::vector<std::string_view> all(tokens->begin(), tokens->end());
  EXPECT_EQ(all, (std::vector<std::string_view>{"<pad>", "", "\xe2\x96\x81the", std::string_view("a\0b", 3)}));
  const char* first = all[0].data();
  EXPECT_TRUE(first > in.bytes.data() && first < in.bytes.data() + in.bytes.size()) << "a copy";
  EXPECT_EQ(meta.floats("scores").value()[1], 0.5f);
  EXPECT_EQ(meta.floats("wide").value()[0], 0.1f);
  EXPECT_EQ(meta.integers("types").value()[1], -1);
  EXPECT_EQ(meta.integers("types").value().size(), 3u);
  EXPECT_EQ(meta.integers("widths").value()[1], 4'000'000'000);
  EXPECT_TRUE(meta.booleans("flags").value()[2]);
  EXPECT_FALSE(meta.booleans("flags").value()[1]);
  EXPECT_EQ(meta.floats("none").value().size(), 0u);
  EXPECT_EQ(meta.integers("single").value().size(), 1u);
  EXPECT_EQ(meta.integers("single").value()[0], 9);
  EXPECT_REFUSED(meta.u64("types"), "m.gguf", "the key types is of type array of i32; expected a whole number");
  EXPECT_REFUSED(meta.integers("scores"), "m.gguf",
                 "the key scores is of type array of f32; expected a list of whole numbers");
  EXPECT_REFUSED(meta.integers("large"), "m.gguf", "the key large holds a number above 2^63");
}

TEST(gguf_types, the_numbers_of_ggml) {
  const std::pair<std::uint32_t, g4::storage> ours[] = {
      {0, g4::storage::f32},   {1, g4::storage::f16},     {30, g4::storage::bf16},   {2, g4::storage::q4_0},
      {3, g4::storage::q4_1},  {6, g4::storage::q5_0},    {7, g4::storage::q5_1},    {8, g4::storage::q8_0},
      {12, g4::storage::q4_k}, {13, g4::storage::q5_k},   {14, g4::storage::q6_k},   {10, g4::storage::q2_k},
      {11, g4::storage::q3_k}, {20, g4::storage::iq4_nl}, {23, g4::storage::iq4_xs}, {39, g4::storage::mxfp4}};
  for (const auto& [id, storage] : ours) EXPECT_EQ(g4::io::ggml_type(id)->weights, storage) << id;
  for (const std::uint32_t id : {16u, 17u, 18u, 19u, 21u, 22u, 29u, 34u, 40u}) {
    ASSERT_TRUE(g4::io::ggml_type(id)) << id;
    EXPECT_FALSE(g4::io::ggml_type(id)->weights) << id;
  }
  for (const std::uint32_t id : {4u, 5u, 31u, 36u, 99u}) EXPECT_FALSE(g4::io::ggml_type(id)) << id;
}

TEST(gguf_types, a_storage_g4_does_not_read_named) {
  gguf_builder b;
  b.tensor("blk.0.ffn_up.weight", {256}, 21, 0);
  b.data.resize(110);
  const read_back in(b);
  ASSERT_TRUE(in.file) << why(in.file);
  EXPECT_REFUSED(
      g4::io::storage_of(in.file->tensors, in.file->tensors.tensors()[0]), "m.gguf",
      "blk.0.ffn_up.weight is stored as IQ3_S, which g4 does not read as weights; it reads F32, F16, BF16, Q4_0, Q4_1, "
      "Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS and MXFP4. Convert the model to one of these");
}

// ---- the frame -------------------------------------------------------------------------------------------------------

TEST(gguf_damage, another_format) {
  EXPECT_DAMAGED(std::string("PK\3\4 and so on"), "does not begin with \"GGUF\"");
  EXPECT_DAMAGED(std::string("GG"), "does not begin with \"GGUF\"");
}
TEST(gguf_damage, an_old_or_future_version) {
  gguf_builder b = small();
  b.version = 1;
  EXPECT_DAMAGED(b, "is GGUF version 1; g4 reads versions 2 and 3");
  b.version = 4;
  EXPECT_DAMAGED(b, "is GGUF version 4; g4 reads versions 2 and 3");
}
TEST(gguf_damage, big_endian) {
  gguf_builder b = small();
  b.version = 0x03000000;
  EXPECT_DAMAGED(b, "is a big-endian GGUF file; g4 reads little-endian ones");
}
TEST(gguf_damage, counts_beyond_reason) {
  gguf_builder b = small();
  b.tensor_count = 1ull << 40;
  EXPECT_DAMAGED(b, "claims 1099511627776 tensors; g4 reads at most 65536");
  b = small();
  b.key_count = ~0ull;
  EXPECT_DAMAGED(b, "claims 18446744073709551615 keys; g4 reads at most 65536");
}
TEST(gguf_damage, cut_short_anywhere) {
  const gguf_builder b = small();
  const std::string whole = b.bytes();
  ASSERT_TRUE(read_back(whole).file);
  const std::size_t head = b.head().size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const read_back cut(whole.substr(0, size));
    const std::string sentence = why(cut.file);
    if (size < 4) {
      EXPECT_TRUE(g4::test::holds(sentence, "does not begin with \"GGUF\"")) << size << ": " << sentence;
    } else {
      EXPECT_TRUE(g4::test::holds(sentence, "cut short")) << size << ": " << sentence;
    }
    EXPECT_EQ(g4::test::holds(sentence, "but the file holds"), size >= head) << size << ": " << sentence;
  }
  EXPECT_DAMAGED(whole.substr(0, 30), "ends within its metadata, in key 1 of 2");
  EXPECT_DAMAGED(whole.substr(0, head - 1), "ends within its list of tensors, in tensor 2 of 2");
  EXPECT_DAMAGED(whole.substr(0, whole.size() - 1),
                 "b.weight has 34 bytes at offset 32 of the data, but the file holds 65 bytes of data");
}
TEST(gguf_damage, one_part_of_a_split_model) {
  gguf_builder b = small();
  b.key("split.count", 2, little<std::uint16_t>(3));
  EXPECT_DAMAGED(b, "is one of 3 parts of a split model");
}

// ---- the keys --------------------------------------------------------------------------------------------------------

TEST(gguf_damage, a_repeated_key) {
  gguf_builder b = small();
  b.u32("general.architecture", 1);
  EXPECT_DAMAGED(b, "holds the key general.architecture twice");
}
TEST(gguf_damage, a_key_that_is_not_text) {
  gguf_builder b;
  b.u32("a\nb", 1);
  EXPECT_DAMAGED(b, "key 0 is empty, longer than 1024 bytes or not printable ASCII: \"a?b\"");
  b = {};
  b.u32("", 1);
  EXPECT_DAMAGED(b, "key 0 is empty");
  b = {};
  b.u32(std::string(2000, 'k'), 1);
  EXPECT_DAMAGED(b, "key 0 is empty, longer");
}
TEST(gguf_damage, unknown_value_types) {
  gguf_builder b;
  b.key("k", 13, "");
  EXPECT_DAMAGED(b, "the key k is of the unknown type 13");
  b = {};
  b.key("k", 9, little<std::uint32_t>(77) + little<std::uint64_t>(0));
  EXPECT_DAMAGED(b, "the key k is an array of the unknown type 77");
}
TEST(gguf_damage, arrays_of_arrays) {
  gguf_builder b;
  b.key("k", 9, little<std::uint32_t>(9) + little<std::uint64_t>(1));
  EXPECT_DAMAGED(b, "the key k is an array of arrays, which g4 does not read");
}
TEST(gguf_damage, bools_other_than_0_and_1) {
  gguf_builder b;
  b.key("k", 7, "\2");
  EXPECT_DAMAGED(b, "the key k holds the bool 2; expected 0 or 1");
  b = {};
  b.array<std::uint8_t>("k", 7, {0, 1, 255});
  EXPECT_DAMAGED(b, "the key k holds the bool 255; expected 0 or 1");
}
TEST(gguf_damage, lengths_beyond_the_file) {
  for (const std::uint64_t length : {std::uint64_t{100}, std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    gguf_builder b;
    b.key("k", 8, little(length) + "abc");
    EXPECT_DAMAGED(b.head(), "ends within its metadata, in key 1 of 1");
    for (const std::uint32_t element : {0u, 4u, 8u, 12u}) {
      b = {};
      b.key("k", 9, little(element) + little(length) + "abc");
      EXPECT_DAMAGED(b.head(), "ends within its metadata, in key 1 of 1");
    }
    b = {};
    b.key("k", 9, little<std::uint32_t>(8) + little<std::uint64_t>(1) + little(length));
    EXPECT_DAMAGED(b.head(), "ends within its metadata, in key 1 of 1");
  }
}
TEST(gguf_damage, an_alignment_that_is_none) {
  for (const std::uint32_t alignment : {0u, 3u, 48u, 1u << 31}) {
    gguf_builder b;
    b.u32("general.alignment", alignment);
    EXPECT_DAMAGED(b, "general.alignment is " + std::to_string(alignment) + "; expected a power of two up to 2^30");
  }
  gguf_builder b;
  b.string("general.alignment", "32");
  EXPECT_DAMAGED(b, "the key general.alignment is of type string; expected a whole number");
}

// ---- the tensors -----------------------------------------------------------------------------------------------------

TEST(gguf_damage, a_repeated_tensor) {
  gguf_builder b = small();
  b.tensor("a.weight", {1}, 0, 96);
  b.data.resize(100);
  EXPECT_DAMAGED(b, "holds two tensors called a.weight");
}
TEST(gguf_damage, a_tensor_name_that_is_not_text) {
  gguf_builder b;
  b.tensor("a\tb", {1}, 0, 0);
  EXPECT_DAMAGED(b, "the name of tensor 0 is empty, longer than 1024 bytes or not printable ASCII: \"a?b\"");
}
TEST(gguf_damage, more_dimensions_than_four) {
  gguf_builder b;
  b.tensor("a", {1, 1, 1, 1, 1}, 0, 0);
  EXPECT_DAMAGED(b, "a has 5 dimensions; the format allows 4");
}
TEST(gguf_damage, a_dimension_of_nil) {
  gguf_builder b;
  b.tensor("a", {4, 0}, 0, 0);
  EXPECT_DAMAGED(b, "a has a dimension of size 0");
}
TEST(gguf_damage, a_size_beyond_64_bits) {
  gguf_builder b;
  b.tensor("a", {1ull << 32, 1ull << 32}, 0, 0);
  EXPECT_DAMAGED(b, "a is [4294967296, 4294967296], which is no possible size");
  b = {};
  b.tensor("a", {1ull << 62, 1}, 0, 0);
  EXPECT_DAMAGED(b, "which is no possible size");
}
TEST(gguf_damage, an_unknown_element_type) {
  gguf_builder b;
  b.tensor("a", {32}, 31, 0);
  EXPECT_DAMAGED(b, "a has the element type 31, which g4 does not know");
}
TEST(gguf_damage, rows_that_are_no_whole_blocks) {
  gguf_builder b;
  b.tensor("a", {640, 2}, 12, 0);
  EXPECT_DAMAGED(b, "a is Q4_K [2, 640]; its rows must be a multiple of 256 long");
}
TEST(gguf_damage, an_offset_off_the_alignment) {
  gguf_builder b;
  b.tensor("a", {1}, 0, 4);
  b.data.resize(8);
  EXPECT_DAMAGED(b, "a begins at offset 4, which is no multiple of the alignment 32");
}
TEST(gguf_damage, an_offset_beyond_the_file) {
  gguf_builder b;
  b.tensor("a", {1}, 0, ~0ull - 31);
  b.data.resize(8);
  EXPECT_DAMAGED(b, "but the file holds 8 bytes of data; it is cut short");
}
TEST(gguf_damage, overlapping_tensors) {
  gguf_builder b;
  b.tensor("a", {16}, 0, 0).tensor("b", {1}, 0, 32);
  b.data.resize(64);
  EXPECT_DAMAGED(b, "a and b overlap: one ends at byte 64 of the data, the other begins at 32");
}

}  // namespace
