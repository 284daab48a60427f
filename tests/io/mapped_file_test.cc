#include "g4/io/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/io/files.h"

namespace {

using g4::io::mapped_file;
using g4::test::temporary_folder;

/// Bytes of this process that are resident and backed by files.
std::size_t resident_file_bytes() {
  std::ifstream status("/proc/self/smaps_rollup");
  std::string word;
  std::size_t rss = 0;
  std::size_t anonymous = 0;
  while (status >> word) {
    if (word == "Rss:") status >> rss;
    if (word == "Anonymous:") status >> anonymous;
  }
  return (rss - anonymous) * 1024;
}

TEST(mapped_file, the_bytes_of_the_file) {
  temporary_folder folder;
  auto file = mapped_file::open(folder.write("a", "hello"));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->bytes().size(), 5u);
  EXPECT_EQ(std::to_integer<char>(file->bytes()[4]), 'o');
  EXPECT_EQ(file->path(), folder.path("a"));
}

TEST(mapped_file, movable) {
  temporary_folder folder;
  auto first = mapped_file::open(folder.write("a", "first"));
  auto second = mapped_file::open(folder.write("b", "second"));
  ASSERT_TRUE(first && second);
  mapped_file moved(std::move(*first));
  EXPECT_EQ(std::to_integer<char>(moved.bytes()[0]), 'f');
  moved = std::move(*second);
  EXPECT_EQ(moved.bytes().size(), 6u);
  EXPECT_EQ(moved.path(), folder.path("b"));
}

TEST(mapped_file, several_owners) {
  temporary_folder folder;
  auto file = g4::io::map_file(folder.write("a", "shared"));
  ASSERT_TRUE(file);
  const auto other = *file;
  file->reset();
  EXPECT_EQ(std::to_integer<char>(other->bytes()[5]), 'd');
}

TEST(mapped_file, a_missing_file_refused) {
  EXPECT_REFUSED(mapped_file::open("/nowhere/at/all.gguf"), "/nowhere/at/all.gguf", "there is no such file");
}

TEST(mapped_file, a_folder_refused) {
  temporary_folder folder;
  EXPECT_REFUSED(mapped_file::open(folder.path()), folder.path(), "is a folder; expected a file");
}

TEST(mapped_file, an_empty_file_refused) {
  temporary_folder folder;
  const std::string path = folder.write("a", "");
  EXPECT_REFUSED(mapped_file::open(path), path, "is empty");
}

TEST(mapped_file, a_file_without_permission_refused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  temporary_folder folder;
  const std::string path = folder.write("a", "secret");
  ::chmod(path.c_str(), 0);
  EXPECT_REFUSED(mapped_file::open(path), path, "cannot be opened (Permission denied)");
}

TEST(mapped_file, a_pipe_refused_without_waiting) {
  temporary_folder folder;
  const std::string path = folder.track("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_REFUSED(mapped_file::open(path), path, "is not an ordinary file");
}

TEST(mapped_file, pages_let_go_and_back_again) {
  temporary_folder folder;
  const std::size_t size = 64u << 20;
  auto file = mapped_file::open(folder.write("a", std::string(size, 'x')));
  ASSERT_TRUE(file);
  file->will_need(file->bytes());
  file->sequential(file->bytes());
  const auto sum = [&] {
    std::size_t total = 0;
    for (std::size_t i = 0; i < size; i += 512) total += std::to_integer<std::size_t>(file->bytes()[i]);
    return total;
  };
  const std::size_t before = sum();
  const std::size_t held = resident_file_bytes();
  // An uneven part: the pages at its ends stay.
  file->release(file->bytes().subspan(100, size - 200));
  EXPECT_LT(resident_file_bytes() + size / 2, held);
  EXPECT_EQ(sum(), before);
}

TEST(mapped_file, advice_about_foreign_bytes_ignored) {
  temporary_folder folder;
  auto file = mapped_file::open(folder.write("a", std::string(10'000, 'x')));
  ASSERT_TRUE(file);
  std::vector<std::byte> other(10'000, std::byte{7});
  file->release(other);
  file->release({});
  EXPECT_EQ(other[5000], std::byte{7});
}

}  // namespace
