/// What `limits.cu` measures, for the device that the bench is built for: a GPU, or the host's machine.
#pragma once

#include <cstddef>

#ifdef G4_BENCH_ON_HOST
#include "g4/backend/cuda_on_host.h"
#define G4_BENCH_SPACE cuda_on_host
#else
#include "g4/backend/cuda.h"
#define G4_BENCH_SPACE cuda
#endif

namespace g4::G4_BENCH_SPACE {

/// Reads `bytes` at `from` in so many blocks of 256 threads; `to` is never written but by chance.
void read_memory(device& on, const std::byte* from, std::size_t bytes, unsigned blocks, unsigned* to);

}  // namespace g4::G4_BENCH_SPACE
