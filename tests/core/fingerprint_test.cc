// Names that are too long are told apart by a fingerprint.
#include "g4/core/fingerprint.h"

#include <gtest/gtest.h>

#include <string>

namespace g4 {
namespace {

TEST(name_within, is_the_name_where_there_is_room) {
  EXPECT_EQ(name_within(20, "gemma3_270m"), "gemma3_270m");
  EXPECT_EQ(name_within(20, std::string(20, 'a')), std::string(20, 'a'));
}

TEST(name_within, tells_long_names_apart_by_all_of_their_letters) {
  const std::string one = name_within(20, std::string(21, 'a')), other = name_within(20, std::string(20, 'a') + "b");
  EXPECT_EQ(one.size(), 20u);
  EXPECT_EQ(one.substr(0, 4), "aaa~");
  EXPECT_EQ(one.substr(0, 4), other.substr(0, 4));
  EXPECT_NE(one, other);
  EXPECT_EQ(one, name_within(20, std::string(21, 'a')));
}

TEST(hex_of, has_all_digits) { EXPECT_EQ(hex_of(0x0123456789abcdef), "0123456789abcdef"); }

}  // namespace
}  // namespace g4
