// What encoding takes of memory, counted at operator new: a text's own size, not a multiple that makes long ones a
// weapon.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include "g4/text/tokenizer_builder.h"
#include "tests/text/files.h"

namespace {
std::atomic<std::size_t> live{0};
std::atomic<std::size_t> peak{0};
constexpr std::size_t in_front = alignof(std::max_align_t);  // where a block's size is kept
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  auto* const block = static_cast<char*>(std::malloc(size + in_front));
  if (block == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(block) = size;
  const std::size_t now = live += size;
  if (now > peak) peak = now;
  return block + in_front;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {  // of the library's stable_sort
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  if (p == nullptr) return;
  char* const block = static_cast<char*>(p) - in_front;
  live -= *reinterpret_cast<std::size_t*>(block);
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept { operator delete(p); }

namespace {

using namespace g4;

double bytes_a_byte(const text::tokenizer& tokens, const std::string& text) {
  const std::size_t before = live;
  peak = before;
  EXPECT_TRUE(tokens.encode(text));
  return static_cast<double>(peak - before) / static_cast<double>(text.size());
}

std::string some_words(std::size_t size) {
  std::string words;
  while (words.size() < size) words += "the laws of thermodynamics are simple to say ";
  return words;
}

TEST(memory_of_encode, below_thirty_two_bytes_a_byte_of_any_text) {
  const auto tokens = *test::open_tokenizer(test::data_path("scores.gguf"));
  constexpr std::size_t size = std::size_t{1} << 20;
  std::string letters(size, 'a');
  for (std::size_t i = 0; i < size; ++i) letters[i] = static_cast<char>('a' + i * 7919 % 26);
  EXPECT_LT(bytes_a_byte(tokens, letters), 32);
  EXPECT_LT(bytes_a_byte(tokens, std::string(size, 'a')), 32);
  EXPECT_LT(bytes_a_byte(tokens, some_words(size)), 40);  // blanks take three bytes each, and pieces here hold blanks
}

TEST(memory_of_encode, a_few_bytes_a_byte_of_words) {
  text::tokenizer_builder builder({});
  test::add_byte_pieces(builder);
  const char* pieces[] = {"\xE2\x96\x81", "\xE2\x96\x81" "a", "a", "e", "th", "the", "s", "t", "h", "ar", "r"};
  std::size_t id = 256;
  for (const char* piece : pieces) builder.piece(id++, piece, text::piece_kind::normal, -1.0f);
  EXPECT_LT(bytes_a_byte(*builder.build({}), some_words(std::size_t{1} << 20)), 16);  // most letters are no pieces
  if (test::real_model_path().empty()) GTEST_SKIP() << "set G4_MODEL_270M to measure the real vocabulary too";
  EXPECT_LT(bytes_a_byte(*test::open_tokenizer(test::real_model_path()), some_words(std::size_t{1} << 20)), 6);
}

}  // namespace
