/// Members that only some instantiations of a struct have.
#pragma once

#include <type_traits>

namespace g4 {

/// Stands where a kind of layer has no such weight, so that using it does not compile.
struct absent {};

template <bool Present, class T>
using present_if = std::conditional_t<Present, T, absent>;

}  // namespace g4
