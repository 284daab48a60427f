/// What this machine can do at most: the limits that kernels are measured against.
#pragma once

#include <cstddef>

namespace g4::bench {

/// Giga-operations per second (a multiplication and an addition are two), or GB/s; one or several threads together.
struct machine_limits {
  double read = 0;   ///< bytes streamed from memory
  double f32 = 0;    ///< fused multiply-adds
  double bf16 = 0;   ///< dot products of pairs, summed in float32
  double int16 = 0;  ///< dot products of pairs, summed in int32
  double int8 = 0;   ///< dot products of four, summed in int32
};

/// Measured with `threads` threads at once, about half a second.
[[nodiscard]] machine_limits measure_limits(std::size_t threads);

/// The limits of one thread, measured once.
[[nodiscard]] const machine_limits& one_thread_limits();

/// The SIMD target that was measured, as Highway names it.
[[nodiscard]] const char* simd_target();

}  // namespace g4::bench
