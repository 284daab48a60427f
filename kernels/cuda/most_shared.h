/// What every GPU that the kernels run on gives a block.
#pragma once

#include <cstddef>

namespace g4 {

/// Bytes of shared memory that a block may have from compute capability 8.0 on: 8.6, 8.9 and 12.0 give 99 KiB, others more.
inline constexpr std::size_t most_shared_memory = std::size_t{99} << 10;

}  // namespace g4
