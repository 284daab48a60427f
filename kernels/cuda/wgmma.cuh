/// Products of a warpgroup, four warps, with the right operand in shared memory: compute capability 9.0 alone (sm_90a).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "kernels/cuda/atoms.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define G4_WGMMA 1
#endif

namespace g4::G4_SPACE {

// A core is 8 columns of the right operand by 8 of k, the numbers of a column beside each other: 128 bytes in a row.
constexpr unsigned core_bytes = 128;

/// Where cores lie, as the instruction is told: bits 0–13 the first one's address / 16, 16–29 bytes to the next core along k
/// / 16, 32–45 bytes to the next along the columns / 16; all others are nought, which means that nothing is swizzled.
/// Source: PTX ISA, "matrix descriptor", of operands that are k-major and not swizzled.
G4_DEVICE std::uint64_t cores_at(const void* first, unsigned next_k, unsigned next_column) {
#if defined(__CUDACC__)
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(first));
#else
  const auto address = static_cast<unsigned>(static_cast<const std::byte*>(first) - cuda_machine::now->shared);
#endif
  return static_cast<std::uint64_t>(address >> 4 & 0x3fff) | static_cast<std::uint64_t>(next_k >> 4 & 0x3fff) << 16 |
         static_cast<std::uint64_t>(next_column >> 4 & 0x3fff) << 32;
}
/// The same cores, so many bytes further on.
G4_DEVICE std::uint64_t further(std::uint64_t cores, unsigned bytes) { return cores + (bytes >> 4); }

/// d [64, N] += a [64, 16] · b [16, N], a and b of half floats, sums in float32; the whole warpgroup.
///
///     lane = 4·g + t of warp w, whose rows are 16·w …
///     a         as `mma_16x8x16` has it, of the warp's rows
///     b         two cores along k and N / 8 along the columns, found by their descriptor
///     d[4j + i] row g + 8·(i / 2), column 8j + 2t + i % 2
///
/// It has not happened before `wgmma_wait`: until then nobody touches d, a or the cores. On the host d is no number until
/// then, and b is read at the wait or, drawn by the seed, at once; its sums are exact and rounded once, as `mma_16x8x16`'s.
template <unsigned N>
struct wgmma_64xNx16 {
  static_assert(N == 64, "the width that kernels use");

  G4_DEVICE static void run(float (&d)[N / 2], const unsigned (&a)[4], std::uint64_t b) {
#if defined(G4_WGMMA)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
          "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
          "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
          "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#elif defined(__CUDACC__)
    (void)d, (void)a, (void)b;
    __trap();
#else
    struct shown {
      unsigned a[4];
    } mine;
    std::memcpy(mine.a, a, sizeof mine.a);
    struct rows {
      float at[2][16];
    };
    const rows left = cuda_machine::now->exchange_in_group(mine, [](auto of) {
      rows both;
      for (unsigned t = 0; t < 4; ++t) {
        const shown from = of(lane_index() / 4 * 4 + t);
        for (unsigned i = 0; i < 4; ++i) {
          float* const two = &both.at[i % 2][2 * t + 8 * (i / 2)];
          two[0] = float_of_half(from.a[i] & 0xffff);
          two[1] = float_of_half(from.a[i] >> 16);
        }
      }
      return both;
    });
    constexpr std::uint64_t known = 0x3fff'3fff'3fff;
    if ((b & ~known) != 0) cuda_machine::now->stop("a descriptor that asks for more than cores in a row");
    const unsigned first = static_cast<unsigned>(b & 0x3fff) << 4;
    const unsigned next_k = static_cast<unsigned>(b >> 16 & 0x3fff) << 4;
    const unsigned next_column = static_cast<unsigned>(b >> 32 & 0x3fff) << 4;
    const std::size_t end = std::size_t{first} + next_k + (N / 8 - 1) * next_column + core_bytes;
    if (end > cuda_machine::now->shared_bytes) {
      cuda_machine::now->stop("a descriptor that leads out of shared memory: to byte " + std::to_string(end) + " of " +
                              std::to_string(cuda_machine::now->shared_bytes));
    }
    const std::byte* const cores = cuda_machine::now->shared + first;
    const unsigned t = lane_index() % 4;
    cuda_machine::now->postpone(d, N / 2, [=](float* sums) {
      for (unsigned n = 0; n < N / 4; ++n) {
        const unsigned column = 8 * (n / 2) + 2 * t + n % 2;
        double sum[2] = {0, 0};
        for (unsigned k = 0; k < 16; ++k) {
          std::uint16_t half;
          std::memcpy(&half, cores + k / 8 * next_k + column / 8 * next_column + column % 8 * 16 + k % 8 * 2, 2);
          const auto right = static_cast<double>(float_of_half(half));
          sum[0] += static_cast<double>(left.at[0][k]) * right;
          sum[1] += static_cast<double>(left.at[1][k]) * right;
        }
        for (unsigned r = 0; r < 2; ++r) {
          float& to = sums[4 * (n / 2) + 2 * r + n % 2];
          to = static_cast<float>(static_cast<double>(to) + sum[r]);
        }
      }
    });
#endif
  }
};

/// What the warpgroup has written to registers is there for the products behind this.
G4_DEVICE void wgmma_fence() {
#if defined(G4_WGMMA)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
/// Waits until all products that were begun are in `d`.
template <unsigned N>
G4_DEVICE void wgmma_wait(float (&d)[N]) {
#if defined(G4_WGMMA)
  asm volatile("wgmma.commit_group.sync.aligned;\n\twgmma.wait_group.sync.aligned 0;" ::: "memory");
  G4_UNROLL
  for (unsigned i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");  // nobody reads one before
#elif !defined(__CUDACC__)
  (void)d;
  cuda_machine::now->finish_postponed();
#endif
}

}  // namespace g4::G4_SPACE
