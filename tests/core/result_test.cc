// Errors are one line that a terminal shows as it is, whatever a file or a user put into it.
#include "g4/core/result.h"

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace g4;

TEST(fail, shows_control_characters_instead_of_obeying_them) {
  const std::string evil = "a\nb\tc\r\x1b[2Jd\x7f";
  EXPECT_EQ(fail("file ", evil, ": is ", 3).value().message, R"(file a\nb\tc\r\x1b[2Jd\x7f: is 3)");
  EXPECT_EQ(fail_in("x\ny", error{"went\nwrong"}).value().message, R"(x\ny: went\nwrong)");
  EXPECT_EQ(fail("left \xe2\x80\xae right \xff").value().message, R"(left \u{202e} right \xff)");
}

TEST(fail, leaves_what_is_text_as_it_is_however_often_it_is_passed_on) {
  const std::string fine = "caf\xc3\xa9 \\n \xe6\x97\xa5\xe6\x9c\xac 'quoted'";
  EXPECT_EQ(fail_in("f", fail(fine).value()).value().message, "f: " + fine);
  const std::string once = fail("\n").value().message;
  EXPECT_EQ(fail_in("f", error{once}).value().message, "f: " + once);
}

}  // namespace
