#include "g4/io/safetensors.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/io/files.h"

namespace {

using g4::io::open_safetensors;
using g4::io::read_safetensors;
using g4::test::bytes_of_text;
using g4::test::little;
using g4::test::safetensors;
using g4::test::temporary_folder;
using g4::test::why;

/// What reading a header with so many bytes of data says.
g4::result<g4::io::tensor_file> read(std::string_view header, std::size_t data = 0) {
  const std::string file = safetensors(header, std::string(data, '\1'));
  auto out = read_safetensors(bytes_of_text(file), "m.safetensors");
  if (out) {
    // The bytes go with this function; what remains is for looking at names and sizes.
    std::size_t sum = 0;
    for (const auto& tensor : out->tensors()) sum += tensor.bytes.size();
    EXPECT_EQ(sum, data);
  }
  return out;
}

#define EXPECT_DAMAGED(header, data, part) EXPECT_REFUSED(read(header, data), "m.safetensors", part)

const std::string two = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
                        R"("a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})";

TEST(safetensors, names_types_and_shapes) {
  const std::string file = safetensors(two + "   ", std::string(8, '\0') + "abcdefghijkl");
  auto out = read_safetensors(bytes_of_text(file), "m");
  ASSERT_TRUE(out) << why(out);
  ASSERT_EQ(out->tensors().size(), 2u);
  EXPECT_EQ(out->tensors()[0].name, "a");  // in the order of the data
  const auto* b = out->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->type.weights, g4::storage::bf16);
  EXPECT_EQ(b->dims, (g4::io::extents{2, 3}));
  EXPECT_EQ(g4::io::text_of(b->bytes), "abcdefghijkl");
  EXPECT_EQ(out->find("a")->type.name, "I64");
  EXPECT_FALSE(out->find("a")->type.weights);
  EXPECT_EQ(out->find("c"), nullptr);
  EXPECT_EQ(out->find(""), nullptr);
}

TEST(safetensors, scalars_and_empty_tensors) {
  auto out = read(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                  R"("none":{"dtype":"F16","shape":[3,0],"data_offsets":[4,4]},)"
                  R"("t":{"dtype":"F16","shape":[1],"data_offsets":[4,6]}})",
                  6);
  ASSERT_TRUE(out) << why(out);
  EXPECT_EQ(out->find("s")->dims.rank(), 0u);
  EXPECT_EQ(out->find("s")->dims.elements(), 1u);
  EXPECT_EQ(out->find("none")->dims.elements(), 0u);
}

TEST(safetensors, no_tensors_at_all) { EXPECT_TRUE(read("{}")); }

TEST(safetensors, every_dtype_of_the_format) {
  for (const char* name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL",
                           "C64", "F8_E4M3", "F8_E5M2", "F8_E8M0"}) {
    const auto type = g4::io::safetensors_type(name);
    ASSERT_TRUE(type) << name;
    EXPECT_EQ(type->name, name);
    EXPECT_EQ(type->block_elements, 1u);
  }
  EXPECT_EQ(g4::io::safetensors_type("F4")->block_elements, 2u);
  EXPECT_FALSE(g4::io::safetensors_type("f32"));
}

TEST(safetensors, an_element_type_that_is_no_weight_named) {
  auto out = read(R"({"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8);
  ASSERT_TRUE(out);
  EXPECT_REFUSED(g4::io::storage_of(*out, *out->find("ids")), "m.safetensors",
                 "ids is stored as I64, which g4 does not read as weights; it reads F32");
}

// ---- the frame -------------------------------------------------------------------------------------------------------

TEST(safetensors_damage, shorter_than_its_length) {
  EXPECT_REFUSED(read_safetensors(bytes_of_text("1234567"), "m"), "m", "has 7 bytes");
}
TEST(safetensors_damage, header_beyond_the_file) {
  const std::string file = little<std::uint64_t>(100) + "{}";
  EXPECT_REFUSED(read_safetensors(bytes_of_text(file), "m"), "m",
                 "claims a header of 100 bytes, but only 2 follow; the file is cut short");
}
TEST(safetensors_damage, header_above_the_format_s_limit) {
  const std::string file = little<std::uint64_t>(~0ull) + "{}";
  EXPECT_REFUSED(read_safetensors(bytes_of_text(file), "m"), "m", "claims a header of 18446744073709551615 bytes");
}
TEST(safetensors_damage, header_not_an_object) {
  EXPECT_DAMAGED("[]", 0, "does not begin with '{'");
  EXPECT_DAMAGED("", 0, "does not begin with '{'");
  EXPECT_DAMAGED(" {}", 0, "does not begin with '{'");
}
TEST(safetensors_damage, header_not_json) {
  EXPECT_DAMAGED(R"({"a":)", 0, "is not valid JSON at line 1, column 6");
  EXPECT_DAMAGED("{\n\"a\" 1}", 0, "is not valid JSON at line 2, column 5");
  EXPECT_DAMAGED("{}{}", 0, "is not valid JSON");
  EXPECT_DAMAGED("{\"\xff\":1}", 0, "is not valid JSON");
}
TEST(safetensors_damage, nested_beyond_reason) {
  EXPECT_DAMAGED("{\"a\":" + std::string(100'000, '['), 0, "a is described by a list; expected an object");
}
TEST(safetensors_damage, a_name_beyond_reason) {
  EXPECT_DAMAGED("{\"" + std::string(2'000'000, 'a') + "\":{}}", 0,
                 "holds a string or a number longer than 1048576 bytes");
  EXPECT_DAMAGED("{\"" + std::string(2000, 'a') + "\":{}}", 0, "longer than 1024 bytes");
}
TEST(safetensors_damage, a_name_that_is_not_text) {
  EXPECT_DAMAGED(R"({"a\nb":{}})", 0, "not printable ASCII: \"a?b\"");
  EXPECT_DAMAGED(R"({"":{}})", 0, "a tensor name that is empty");
}
TEST(safetensors_damage, more_tensors_than_any_model) {
  std::string header = "{";
  for (int i = 0; i <= 65'536; ++i) {
    header += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  EXPECT_DAMAGED(header + "}", 0, "holds more than 65536 tensors");
}

// ---- the fields ------------------------------------------------------------------------------------------------------

TEST(safetensors_damage, a_repeated_name) {
  EXPECT_DAMAGED(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
      "holds two tensors called a");
}
TEST(safetensors_damage, a_repeated_field) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
                 "a has two fields called dtype");
  EXPECT_DAMAGED(R"({"__metadata__":{},"__metadata__":{}})", 0, "the header holds __metadata__ twice");
}
TEST(safetensors_damage, a_missing_field) {
  EXPECT_DAMAGED(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "a has no dtype");
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, "a has no shape");
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[1]}})", 1, "a has no data_offsets");
}
TEST(safetensors_damage, an_unknown_field) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}})", 1,
                 "a has a field called strides; expected dtype, shape and data_offsets");
}
TEST(safetensors_damage, an_unknown_dtype) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,1]}})", 1, "a has the unknown dtype Q9");
}
TEST(safetensors_damage, fields_of_the_wrong_type) {
  EXPECT_DAMAGED(R"({"a":7})", 0, "a is described by a number; expected an object");
  EXPECT_DAMAGED(R"({"a":[]})", 0, "a is described by a list; expected an object");
  EXPECT_DAMAGED(R"({"a":{"dtype":7}})", 0, "a has a number as dtype; expected a string");
  EXPECT_DAMAGED(R"({"a":{"dtype":null}})", 0, "a has null as dtype; expected a string");
  EXPECT_DAMAGED(R"({"a":{"shape":"[1]"}})", 0, "a has a string as shape; expected a list of whole numbers");
  EXPECT_DAMAGED(R"({"a":{"shape":[-1]}})", 0, "a has the negative number -1 in its shape; expected whole numbers");
  EXPECT_DAMAGED(R"({"a":{"shape":[1.5]}})", 0, "a has a fraction in its shape");
  EXPECT_DAMAGED(R"({"a":{"shape":[[1]]}})", 0, "nested more than 3 deep");
  EXPECT_DAMAGED(R"({"a":{"shape":[99999999999999999999999]}})", 0, "a has a fraction in its shape");
  EXPECT_DAMAGED(R"({"a":{"shape":{}}})", 0, "an object where none is expected");
  EXPECT_DAMAGED(R"({"a":{"data_offsets":true}})", 0,
                 "a has true or false as data_offsets; expected two whole numbers");
  EXPECT_DAMAGED(R"({"a":{"data_offsets":[0]}})", 0, "a has fewer than two data_offsets");
  EXPECT_DAMAGED(R"({"a":{"data_offsets":[0,1,2]}})", 0, "a has more than two data_offsets");
  EXPECT_DAMAGED(R"({"__metadata__":[]})", 0, "__metadata__ is a list; expected an object");
  EXPECT_DAMAGED(R"({"__metadata__":{"a":1}})", 0, "__metadata__ holds a number; expected strings only");
  EXPECT_DAMAGED(R"({"__metadata__":{"a":{}}})", 0, "an object where none is expected");
}
TEST(safetensors_damage, more_dimensions_than_g4_reads) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                 "a has more than 8 dimensions");
}

// ---- the places ------------------------------------------------------------------------------------------------------

TEST(safetensors_damage, a_size_unlike_shape_and_dtype) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,12]}})", 12,
                 "a is F32 [2, 2] and needs 16 bytes; its data_offsets give it 12");
}
TEST(safetensors_damage, a_size_beyond_64_bits) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                 "a is F32 [4294967296, 4294967296], which is no possible size");
  EXPECT_DAMAGED(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
                 "which is no possible size");
  EXPECT_DAMAGED(R"({"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                 "which is no possible size");
}
TEST(safetensors_damage, an_end_before_the_beginning) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[5,4]}})", 5,
                 "a ends at offset 4, before it begins at 5");
}
TEST(safetensors_damage, data_beyond_the_file) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 15,
                 "a ends at byte 16 of the data, but the file holds 15 bytes of data; it is cut short");
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}})", 1,
                 "it is cut short");
}
TEST(safetensors_damage, overlapping_tensors) {
  EXPECT_DAMAGED(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})", 7,
      "a and b overlap: one ends at byte 4 of the data, the other begins at 3");
}
TEST(safetensors_damage, a_hole) {
  EXPECT_DAMAGED(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})", 7,
      "nothing describes bytes 4 to 5 of the data, before b; the format allows no holes");
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5, "nothing describes bytes 0 to 1");
}
TEST(safetensors_damage, trailing_bytes) {
  EXPECT_DAMAGED(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 7,
                 "nothing describes the last 3 bytes of the file");
}

// ---- folders and shards ----------------------------------------------------------------------------------------------

std::string one_byte(const std::string& name, char value) {
  return safetensors("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", std::string(1, value));
}

struct shards : temporary_folder {
  shards() {
    write("s1.safetensors", one_byte("a", 'A'));
    write("s2.safetensors", one_byte("b", 'B'));
  }
  g4::result<g4::io::tensor_file> open(const std::string& index) {
    return open_safetensors(write("model.safetensors.index.json", index));
  }
};

#define EXPECT_INDEX_REFUSED(index, part)                                                  \
  do {                                                                                     \
    shards folder;                                                                         \
    EXPECT_REFUSED(folder.open(index), folder.path("model.safetensors.index.json"), part); \
  } while (false)

const std::string index_of_two =
    R"({"metadata":{"total_size":2,"more":[{"x":null}]},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})";

TEST(safetensors_index, tensors_of_all_files) {
  shards folder;
  auto out = folder.open(index_of_two);
  ASSERT_TRUE(out) << why(out);
  EXPECT_EQ(g4::io::text_of(out->find("a")->bytes), "A");
  EXPECT_EQ(g4::io::text_of(out->find("b")->bytes), "B");
  EXPECT_EQ(out->files().size(), 2u);
  EXPECT_EQ(out->file_name(*out->find("b")), folder.path("s2.safetensors"));
}

TEST(safetensors_index, maps_alive_as_long_as_a_copy) {
  shards folder;
  auto out = folder.open(index_of_two);
  ASSERT_TRUE(out);
  const g4::io::tensor_file copy = *out;
  *out = g4::io::tensor_file{};
  EXPECT_EQ(g4::io::text_of(copy.find("b")->bytes), "B");
}

TEST(safetensors_folder, the_single_file_or_the_index) {
  shards folder;
  EXPECT_REFUSED(open_safetensors(folder.path()), folder.path(),
                 "holds neither model.safetensors nor model.safetensors.index.json");
  folder.write("model.safetensors.index.json", index_of_two);
  auto from_index = open_safetensors(folder.path());
  ASSERT_TRUE(from_index) << why(from_index);
  EXPECT_EQ(from_index->tensors().size(), 2u);
  folder.write("model.safetensors", one_byte("whole", 'W'));
  auto from_file = open_safetensors(folder.path() + "/");
  ASSERT_TRUE(from_file) << why(from_file);
  EXPECT_NE(from_file->find("whole"), nullptr);
}

TEST(safetensors_index, a_missing_file_named) {
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"a":"s1.safetensors","b":"s3.safetensors"}})",
                       "names the file s3.safetensors: ");
}
TEST(safetensors_index, a_tensor_it_does_not_list) {
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"x":"s1.safetensors"}})", "does not list a, which is in s1.safetensors");
}
TEST(safetensors_index, a_tensor_that_is_not_there) {
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"a":"s1.safetensors","x":"s1.safetensors"}})",
                       "lists x in s1.safetensors, where it is not");
}
TEST(safetensors_index, a_tensor_in_another_file) {
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"a":"s2.safetensors","b":"s1.safetensors"}})", ", but it is in s");
}
TEST(safetensors_index, one_tensor_in_two_files) {
  shards folder;
  folder.write("s2.safetensors", one_byte("a", 'B'));
  EXPECT_REFUSED(folder.open(R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})"),
                 folder.path("model.safetensors.index.json"), "lists a in s1.safetensors, but it is in s2.safetensors");
}
TEST(safetensors_index, a_tensor_listed_twice) {
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}})", "lists a twice");
}
TEST(safetensors_index, no_way_out_of_the_folder) {
  for (const char* name :
       {"../s1.safetensors", "/etc/passwd", "sub/s1.safetensors", "..", ".", "", "a\\\\b", "a\\u0000"}) {
    EXPECT_INDEX_REFUSED(std::string(R"({"weight_map":{"a":")") + name + "\"}}",
                         "expected the name of a file beside the index");
  }
}
TEST(safetensors_index, no_map) {
  EXPECT_INDEX_REFUSED("{}", "has no weight_map");
  EXPECT_INDEX_REFUSED("[]", "is a list; expected an object");
  EXPECT_INDEX_REFUSED(R"({"weight_map":[]})", "weight_map holds a list; expected the name of a file");
  EXPECT_INDEX_REFUSED(R"({"weight_map":"s1"})", "weight_map is a string; expected an object");
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"a":1}})", "weight_map holds a number; expected the name of a file");
  EXPECT_INDEX_REFUSED(R"({"weight_map":{"a":{}}})", "weight_map holds an object; expected the name of a file");
  EXPECT_INDEX_REFUSED(R"({"weight_map":{},"weight_map":{}})", "holds the key weight_map twice");
  EXPECT_INDEX_REFUSED(R"({"weights":{}})", "holds the key weights; expected metadata and weight_map");
}
TEST(safetensors_index, more_files_than_any_model) {
  std::string index = R"({"weight_map":{)";
  for (int i = 0; i <= 1024; ++i)
    index += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":\"" + std::to_string(i) + "\"";
  EXPECT_INDEX_REFUSED(index + "}}", "lists more than 1024 files");
}
TEST(safetensors_index, a_damaged_file_named) {
  shards folder;
  const std::string shard = folder.write("s2.safetensors", "too short");
  EXPECT_REFUSED(folder.open(index_of_two), shard, "the format allows");
}

}  // namespace
