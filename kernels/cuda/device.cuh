/// What kernels are written with: CUDA, or the machine that behaves like it on a CPU. The only file that knows which.
///
/// A kernel is ordinary CUDA, takes one struct of pointers and sizes (`backend/gpu_calls.h`), and has three words of its own:
/// G4_KERNEL in front of it, G4_UNROLL in front of a loop whose arrays are to stay in registers, and G4_SHARED(type, name) for its shared memory, as a pointer to numbers of one type.
/// `launch` starts it on either. All lies in `namespace g4::G4_SPACE`, which is `cuda` or `cuda_on_host`: a program may
/// link both.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#define G4_SPACE cuda
#define G4_KERNEL __global__
#define G4_DEVICE __device__ __forceinline__
#define G4_UNROLL _Pragma("unroll")
#define G4_NO_UNROLL _Pragma("unroll 1")
#define G4_SHARED(type, name)                                        \
  extern __shared__ __align__(128) unsigned char g4_shared_memory[]; \
  type* const name = reinterpret_cast<type*>(g4_shared_memory)

#else

#include "kernels/cuda/machine/machine.h"

#define G4_SPACE cuda_on_host
#define G4_KERNEL inline
#define G4_DEVICE inline
#define G4_UNROLL
#define G4_NO_UNROLL
#define __launch_bounds__(...)
#define threadIdx (g4::cuda_machine::now->thread)
#define blockIdx (g4::cuda_machine::now->index)
#define blockDim (g4::cuda_machine::now->threads)
#define gridDim (g4::cuda_machine::now->grid)
#define G4_SHARED(type, name) type* const name = reinterpret_cast<type*>(g4::cuda_machine::now->shared)

inline void __syncthreads() { g4::cuda_machine::now->block_barrier(); }
inline void __syncwarp() { g4::cuda_machine::now->warp_barrier(); }
// They are read where other types were written, as a GPU may.
struct __attribute__((may_alias, aligned(8))) uint2 {
  unsigned x, y;
};
struct __attribute__((may_alias, aligned(16))) uint4 {
  unsigned x, y, z, w;
};

#endif
