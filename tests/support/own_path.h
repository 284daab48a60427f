/// Paths for what a test writes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace g4::test {

/// A path of this process alone: CTest runs the tests of one program beside each other.
inline std::string own_path(const std::string& name) {
  return testing::TempDir() + name + "_" + std::to_string(::getpid());
}

}  // namespace g4::test
