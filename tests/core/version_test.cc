// The version that ranks compare is the one that CMake gives to packages.
#include "g4/core/version.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

TEST(version, is_that_of_cmake) {
  std::ifstream in(std::string(G4_SOURCE_DIR) + "/CMakeLists.txt");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_NE(text.find("project(g4 VERSION " + std::string(g4::version) + " "), std::string::npos);
}
