// Whether the program was built for a CPU like this one.
#pragma once

#include "g4/core/result.h"

namespace program {

/// Fails where the kernels were built for one instruction set (G4_THIS_CPU) and this machine does not have it.
[[nodiscard]] g4::result<void> check_this_cpu();

}  // namespace program
