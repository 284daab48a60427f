/// Which g4 this is.
#pragma once

#include <string_view>

namespace g4 {

inline constexpr std::string_view version = "0.1.0";  // as CMakeLists.txt says

}  // namespace g4
