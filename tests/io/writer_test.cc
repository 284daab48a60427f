#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "g4/io/gguf_writer.h"
#include "g4/io/safetensors.h"
#include "g4/io/safetensors_writer.h"
#include "tests/io/files.h"

namespace {

using g4::storage;
using g4::io::element_of;
using g4::io::tensor_plan;
using g4::test::bytes_of_text;
using g4::test::temporary_folder;
using g4::test::why;

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::size_t files_in(const temporary_folder& folder, const std::string& name) {
  std::size_t count = exists(folder.path(name)) ? 1 : 0;
  for (int i = 0; i < 3; ++i) {
    count += exists(folder.path(name) + ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(i)) ? 1 : 0;
  }
  return count;
}

TEST(file_writer, the_old_file_until_the_new_one_is_whole) {
  temporary_folder folder;
  const std::string path = folder.write("a", "old");
  const auto old = g4::io::mapped_file::open(path);
  {
    auto out = g4::io::file_writer::create(path);
    ASSERT_TRUE(out) << why(out);
    ASSERT_TRUE(out->write("new and "));
    EXPECT_EQ(g4::io::text_of(g4::io::mapped_file::open(path)->bytes()), "old");
    ASSERT_TRUE(out->write("longer"));
    ASSERT_TRUE(out->finish());
    EXPECT_EQ(out->size(), 14u);
    EXPECT_REFUSED(out->write("more"), path, "is not being written any more");
    EXPECT_REFUSED(out->finish(), path, "is not being written any more");
  }
  EXPECT_EQ(g4::io::text_of(g4::io::mapped_file::open(path)->bytes()), "new and longer");
  EXPECT_EQ(g4::io::text_of(old->bytes()), "old");
  EXPECT_EQ(files_in(folder, "a"), 1u);
}

TEST(file_writer, nothing_left_of_an_abandoned_file) {
  temporary_folder folder;
  const std::string path = folder.track("a");
  {
    auto out = g4::io::file_writer::create(path);
    ASSERT_TRUE(out && out->write("half"));
    EXPECT_EQ(files_in(folder, "a"), 1u);
    const g4::io::file_writer moved = std::move(*out);
    EXPECT_EQ(files_in(folder, "a"), 1u);
  }
  EXPECT_EQ(files_in(folder, "a"), 0u);
}

TEST(file_writer, two_writers_of_one_name) {
  temporary_folder folder;
  const std::string path = folder.track("a");
  auto first = g4::io::file_writer::create(path);
  auto second = g4::io::file_writer::create(path);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->write("first") && second->write("second"));
  ASSERT_TRUE(second->finish() && first->finish());
  EXPECT_EQ(g4::io::text_of(g4::io::mapped_file::open(path)->bytes()), "first");
}

TEST(file_writer, no_place_to_write_refused) {
  EXPECT_REFUSED(g4::io::file_writer::create("/nowhere/at/all"), "/nowhere/at/all",
                 "cannot be written (No such file or directory)");
  temporary_folder folder;
  EXPECT_REFUSED(g4::io::file_writer::create(folder.path()), folder.path(),
                 "is not an ordinary file; it is left alone");
}

TEST(file_writer, a_full_disk_refused_and_cleared) {
  temporary_folder folder;
  const std::string path = folder.track("a");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto out = g4::io::file_writer::create(path);
  const auto written = out->write(std::string(10'000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_REFUSED(written, path, "cannot be written (File too large)");
  EXPECT_EQ(files_in(folder, "a"), 0u);
  EXPECT_REFUSED(out->finish(), path, "is not being written any more");
}

const std::vector<tensor_plan> plan = {
    {"a.weight", element_of(storage::bf16), {2, 3}},
    {"b.weight", element_of(storage::f32), {5}},
    {"c", *g4::io::safetensors_type("I64"), {1, 2}},
};
const std::string a = "abcdefghijkl", b = "01234567890123456789", c = "ABCDEFGHIJKLMNOP";

void write_plan(g4::result<g4::io::tensor_writer>& out) {
  ASSERT_TRUE(out) << why(out);
  ASSERT_TRUE(out->write("a.weight", bytes_of_text(a.substr(0, 5))));
  ASSERT_TRUE(out->write("a.weight", bytes_of_text(a.substr(5))));
  ASSERT_TRUE(out->write("b.weight", bytes_of_text(b)));
  ASSERT_TRUE(out->write("c", bytes_of_text(c)));
  const auto finished = out->finish();
  ASSERT_TRUE(finished) << why(finished);
}

void expect_plan(const g4::io::tensor_file& file) {
  ASSERT_EQ(file.tensors().size(), plan.size());
  const std::string* contents[] = {&a, &b, &c};
  for (std::size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, plan[i].name);
    EXPECT_EQ(file.tensors()[i].type.name, plan[i].type.name);
    EXPECT_EQ(file.tensors()[i].dims, plan[i].dims);
    EXPECT_EQ(g4::io::text_of(file.tensors()[i].bytes), *contents[i]);
  }
}

TEST(safetensors_writer, what_the_reader_reads) {
  temporary_folder folder;
  const std::string path = folder.track("m.safetensors");
  const std::pair<std::string, std::string> metadata[] = {{"format", "pt"}, {"quoted \"", "caf\xc3\xa9"}};
  auto out = g4::io::write_safetensors(path, plan, metadata);
  write_plan(out);
  auto in = g4::io::open_safetensors(path);
  ASSERT_TRUE(in) << why(in);
  expect_plan(*in);
  const auto* first = reinterpret_cast<const char*>(in->tensors()[0].bytes.data());
  const auto* start = reinterpret_cast<const char*>(in->files()[0]->bytes().data());
  EXPECT_EQ((first - start) % 8, 0);
}

TEST(safetensors_writer, tensors_without_elements_and_without_anything) {
  temporary_folder folder;
  const std::string path = folder.track("m.safetensors");
  const tensor_plan empty[] = {{"a", element_of(storage::f32), {0, 3}}, {"b", element_of(storage::f32), {2, 0}}};
  auto out = g4::io::write_safetensors(path, empty);
  ASSERT_TRUE(out) << why(out);
  ASSERT_TRUE(out->finish());
  EXPECT_EQ(g4::io::open_safetensors(path)->tensors().size(), 2u);
  out = g4::io::write_safetensors(path, {});
  ASSERT_TRUE(out && out->finish());
  EXPECT_EQ(g4::io::open_safetensors(path)->tensors().size(), 0u);
}

TEST(gguf_writer, what_the_reader_reads) {
  temporary_folder folder;
  const std::string path = folder.track("m.gguf");
  const std::vector<std::string> words = {"<pad>", "", "\xe2\x96\x81the"};
  const std::uint32_t widths[] = {7, 8};
  const std::int32_t types[] = {-1, 3};
  const float scores[] = {0.5f, -1.0f};
  const bool flags[] = {true, false, true};
  g4::io::gguf_keys keys;
  keys.string("general.architecture", "gemma3").u32("n", 7).u64("large", 1ull << 40).i32("below", -5).f32("x", 0.25f);
  keys.boolean("yes", true).strings("words", words).u32s("widths", widths).i32s("types", types).f32s("scores", scores);
  keys.booleans("flags", flags);
  auto out = g4::io::write_gguf(path, keys, plan);
  write_plan(out);
  auto in = g4::io::open_gguf(path);
  ASSERT_TRUE(in) << why(in);
  expect_plan(in->tensors);
  const auto& meta = in->metadata;
  EXPECT_EQ(meta.string("general.architecture").value(), "gemma3");
  EXPECT_EQ(meta.u64("n").value(), 7u);
  EXPECT_EQ(meta.u64("large").value(), 1ull << 40);
  EXPECT_EQ(meta.i64("below").value(), -5);
  EXPECT_EQ(meta.f32("x").value(), 0.25f);
  EXPECT_TRUE(meta.boolean("yes").value());
  std::size_t i = 0;
  const auto read_words = meta.strings("words").value();
  for (const std::string_view word : read_words) EXPECT_EQ(word, words[i++]);
  EXPECT_EQ(i, 3u);
  EXPECT_EQ(meta.integers("widths").value()[1], 8);
  EXPECT_EQ(meta.integers("types").value()[0], -1);
  EXPECT_EQ(meta.floats("scores").value()[1], -1.0f);
  EXPECT_FALSE(meta.booleans("flags").value()[1]);

  // Every key once more, copied from the file just read.
  g4::io::gguf_keys copied;
  for (const auto& value : meta.values()) copied.copy(value);
  const std::string second = folder.track("copy.gguf");
  auto again = g4::io::write_gguf(second, copied, plan);
  write_plan(again);
  auto in_again = g4::io::open_gguf(second);
  ASSERT_TRUE(in_again) << why(in_again);
  ASSERT_EQ(in_again->metadata.values().size(), meta.values().size());
  for (std::size_t k = 0; k < meta.values().size(); ++k) {
    EXPECT_EQ(in_again->metadata.values()[k].key, meta.values()[k].key);
    EXPECT_EQ(g4::io::text_of(in_again->metadata.values()[k].bytes), g4::io::text_of(meta.values()[k].bytes));
  }
}

TEST(gguf_writer, every_storage) {
  temporary_folder folder;
  for (const storage s : {storage::f32, storage::f16, storage::bf16, storage::q4_0, storage::q4_1, storage::q5_0,
                          storage::q5_1, storage::q8_0, storage::q4_k, storage::q5_k, storage::q6_k, storage::q2_k,
                          storage::q3_k, storage::iq4_nl, storage::iq4_xs, storage::mxfp4}) {
    const std::string path = folder.track("m.gguf");
    const tensor_plan one[] = {{"w", element_of(s), {3, 256}}};
    auto out = g4::io::write_gguf(path, {}, one);
    ASSERT_TRUE(out) << why(out);
    ASSERT_TRUE(out->write("w", bytes_of_text(std::string(3 * g4::row_bytes(s, 256), 'x'))));
    ASSERT_TRUE(out->finish());
    auto in = g4::io::open_gguf(path);
    ASSERT_TRUE(in) << why(in);
    EXPECT_EQ(in->tensors.find("w")->type.weights, s);
  }
}

// ---- refusals --------------------------------------------------------------------------------------------------------

TEST(tensor_writer, bytes_out_of_turn_refused) {
  temporary_folder folder;
  const std::string path = folder.track("m.gguf");
  {
    auto out = g4::io::write_gguf(path, {}, plan);
    ASSERT_TRUE(out) << why(out);
    EXPECT_REFUSED(out->write("b.weight", bytes_of_text(b)), path,
                   "expected the bytes of a.weight, was given those of b.weight");
    EXPECT_REFUSED(out->write("a.weight", bytes_of_text(a + "x")), path,
                   "a.weight has 12 bytes by its plan, was given 13");
    ASSERT_TRUE(out->write("a.weight", bytes_of_text(a.substr(0, 4))));
    EXPECT_REFUSED(out->write("a.weight", bytes_of_text(a)), path, "a.weight has 12 bytes by its plan, was given 16");
    EXPECT_REFUSED(out->finish(), path, "a.weight has 12 bytes by its plan, was given 4");
    ASSERT_TRUE(out->write("a.weight", bytes_of_text(a.substr(4))));
    ASSERT_TRUE(out->write("b.weight", bytes_of_text(b)) && out->write("c", bytes_of_text(c)));
    EXPECT_REFUSED(out->write("d", bytes_of_text(c)), path, "has all its tensors; d was not planned");
  }
  EXPECT_EQ(files_in(folder, "m.gguf"), 0u);
}

TEST(tensor_writer, impossible_plans_refused) {
  temporary_folder folder;
  const std::string path = folder.path("m");
  const auto both = [&](const std::vector<tensor_plan>& p, const std::string& part) {
    EXPECT_REFUSED(g4::io::write_safetensors(path, p), path, part);
    EXPECT_REFUSED(g4::io::write_gguf(path, {}, p), path, part);
  };
  const auto f32 = element_of(storage::f32);
  both({{"a", f32, {1}}, {"b", f32, {1}}, {"a", f32, {1}}}, "is to hold two tensors called a");
  both({{"a\n", f32, {1}}}, "no tensor can be called \"a?\"");
  both({{"a", f32, {1ull << 40, 1ull << 40}}}, "which is no possible size");
  both({{"a", f32, {1ull << 61}},
        {"b", f32, {1ull << 61}},
        {"c", f32, {1ull << 61}},
        {"d", f32, {1ull << 61}},
        {"e", f32, {1ull << 61}},
        {"f", f32, {1ull << 61}},
        {"g", f32, {1ull << 61}},
        {"h", f32, {1ull << 61}}},
       "is to be larger than any file");
  EXPECT_REFUSED(g4::io::write_gguf(path, {}, std::vector<tensor_plan>{{"a", f32, {1, 1, 1, 1, 1}}}), path,
                 "a is to have 5 dimensions; the format allows 4");
  EXPECT_REFUSED(g4::io::write_gguf(path, {}, std::vector<tensor_plan>{{"a", f32, {1, 0}}}), path,
                 "a is to have a dimension of size 0");
  EXPECT_REFUSED(g4::io::write_gguf(path, {}, std::vector<tensor_plan>{{"a", element_of(storage::q4_k), {4, 640}}}),
                 path, "a is to be Q4_K [4, 640], which is no possible size");
  EXPECT_REFUSED(g4::io::write_safetensors(path, std::vector<tensor_plan>{{"a", element_of(storage::q4_0), {32}}}),
                 path, "a is to be Q4_0, for which safetensors has no dtype");
  EXPECT_REFUSED(g4::io::write_safetensors(path, std::vector<tensor_plan>{{"__metadata__", f32, {1}}}), path,
                 "no tensor can be called \"__metadata__\"");
  EXPECT_REFUSED(g4::io::write_gguf(path, {}, std::vector<tensor_plan>{{"a", *g4::io::safetensors_type("BOOL"), {1}}}),
                 path, "a is to be BOOL, which GGUF does not have");
  EXPECT_EQ(files_in(folder, "m"), 0u);
}

TEST(gguf_writer, impossible_keys_refused) {
  temporary_folder folder;
  const std::string path = folder.path("m.gguf");
  EXPECT_REFUSED(g4::io::write_gguf(path, g4::io::gguf_keys().u32("a", 1).u32("a", 2), {}), path,
                 "is to hold the key a twice");
  EXPECT_REFUSED(g4::io::write_gguf(path, g4::io::gguf_keys().u32("", 1), {}), path, "no key can be called \"\"");
  EXPECT_REFUSED(g4::io::write_gguf(path, g4::io::gguf_keys().u32("general.alignment", 64), {}), path,
                 "general.alignment cannot be chosen");
}

}  // namespace
