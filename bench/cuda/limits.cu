// What a card can do at most: how fast it reads and copies memory, and what a launch costs.
#include <cstddef>
#include <cstdint>

#include "bench/cuda/limits.h"
#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/inside.h"

namespace g4::G4_SPACE {

using std::size_t;

namespace {

constexpr unsigned read_threads = 256;

struct read_call {
  const uint4* from;
  size_t count;
  unsigned* to;
};

/// Every thread reads its share and nobody needs the sum: it is written where it cannot be.
G4_KERNEL void __launch_bounds__(read_threads) read_all(read_call c) {
  begin_in_turn();
  unsigned sum = 0;
  const size_t stride = size_t{gridDim.x} * read_threads;
  for (size_t i = size_t{blockIdx.x} * read_threads + threadIdx.x; i < c.count; i += stride) {
    const uint4 four = c.from[i];
    sum += four.x ^ four.y ^ four.z ^ four.w;
  }
  if (sum == 0x5eed5eedu) *c.to = sum;
}

}  // namespace

void read_memory(device& on, const std::byte* from, size_t bytes, unsigned blocks, unsigned* to) {
  on.in().launch("read_all", &read_all, blocks, read_threads, 0,
                 read_call{reinterpret_cast<const uint4*>(from), bytes / sizeof(uint4), to});
}

}  // namespace g4::G4_SPACE
