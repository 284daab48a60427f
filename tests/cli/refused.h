// How the program refuses.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/cli/run_program.h"

namespace cli_test {

/// One sentence on stderr, nothing on stdout, exit status 1.
inline void expect_refused(const ended& e, std::string_view reason) {
  EXPECT_EQ(e.status, 1) << e.err;
  EXPECT_EQ(e.out, "");
  EXPECT_EQ(e.err.find("g4: "), 0u) << e.err;
  EXPECT_EQ(e.err.find('\n'), e.err.size() - 1) << e.err;
  EXPECT_NE(e.err.find(reason), std::string::npos) << e.err;
}

}  // namespace cli_test
