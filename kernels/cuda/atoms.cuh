/// Whatever a kernel does together with its neighbours and is not C++: each beside its definition, which the host runs.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "g4/core/small_float.h"
#include "kernels/cuda/device.cuh"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace g4::G4_SPACE {

constexpr unsigned warp_size = 32;

G4_DEVICE unsigned lane_index() { return threadIdx.x % warp_size; }
G4_DEVICE unsigned warp_index() { return threadIdx.x / warp_size; }

/// values[n] = Σ over the warp's lanes, in all of them, as a tree: lanes 16 apart first, then 8, 4, 2, 1. All 32 lanes
/// take part. Several numbers at a time cost the host one meeting.
template <int N, class Number = float>
struct warp_sums {
  G4_DEVICE static void run(Number (&values)[N]) {
#if defined(__CUDACC__)
    for (int n = 0; n < N; ++n) {
      for (unsigned away = warp_size / 2; away != 0; away /= 2) {
        values[n] += __shfl_xor_sync(0xffffffffu, values[n], away);
      }
    }
#else
    struct shown {
      Number values[N];
    } mine;
    for (int n = 0; n < N; ++n) mine.values[n] = values[n];
    cuda_machine::now->exchange(mine, [&](auto of) {
      shown all[warp_size];
      for (unsigned l = 0; l < warp_size; ++l) all[l] = of(l);
      for (unsigned away = warp_size / 2; away != 0; away /= 2) {
        for (unsigned l = 0; l < away; ++l) {  // lane l and lane l ^ away have the same sum
          for (int n = 0; n < N; ++n) all[l].values[n] += all[l + away].values[n];
        }
      }
      for (int n = 0; n < N; ++n) values[n] = all[0].values[n];
    });
#endif
  }
};

/// Σ over the warp's lanes, in all of them.
template <class Number>
G4_DEVICE Number warp_sum(Number value) {
  Number values[1] = {value};
  warp_sums<1, Number>::run(values);
  return values[0];
}

/// The greatest of the warp's numbers, in all lanes; no number is passed over, as fmaxf does.
struct warp_max {
  G4_DEVICE static float run(float value) {
#if defined(__CUDACC__)
    for (unsigned away = warp_size / 2; away != 0; away /= 2) {
      value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, away));
    }
    return value;
#else
    return cuda_machine::now->exchange(value, [](auto of) {
      float most = of(0u);
      for (unsigned l = 1; l < warp_size; ++l) most = std::fmax(most, of(l));
      return most;
    });
#endif
  }
};

// ---- Half floats, two in a word: the first in the lower half ---------------------------------------------------------

G4_DEVICE unsigned half_bits(float x) {
#if defined(__CUDACC__)
  return __half_as_ushort(__float2half_rn(x));
#else
  return f16_from_float(x);
#endif
}
G4_DEVICE float float_of_half(unsigned bits) {
#if defined(__CUDACC__)
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
#else
  return float_from_f16(static_cast<std::uint16_t>(bits));
#endif
}
/// a − b, half by half, each rounded.
G4_DEVICE unsigned half2_minus(unsigned a, unsigned b) {
#if defined(__CUDACC__)
  unsigned d;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
#else
  const auto one = [](unsigned x, unsigned y) { return half_bits(float_of_half(x) - float_of_half(y)); };
  return one(a & 0xffff, b & 0xffff) | one(a >> 16, b >> 16) << 16;
#endif
}

/// The exponent, as a float's bits have it, of the power of two that brings numbers up to `most` to at most 2¹³ … 2¹⁴: no
/// half float then ends below what products need, and none is beyond 65504. What is no number changes nothing.
G4_DEVICE unsigned exponent_for_halves(float most) {
  if (!(most > 0 && most <= 3.4028235e38f)) return 127;
  const unsigned of_most = std::bit_cast<unsigned>(most) >> 23;
  const unsigned exponent = of_most < 14 ? 253 : 127 + 127 + 13 - of_most;
  return exponent < 253 ? exponent : 253;
}
/// The power of two of an exponent, and what undoes it.
G4_DEVICE float power_of(unsigned exponent) { return std::bit_cast<float>(exponent << 23); }
G4_DEVICE float undoing(unsigned exponent) { return std::bit_cast<float>((254 - exponent) << 23); }

// ---- Kernels behind each other ---------------------------------------------------------------------------------------

/// The kernel behind this one may begin as soon as every block has come here or ended, and there is room for it. Before
/// compute capability 9.0, when all have ended. On the host kernels behind may begin at any time.
G4_DEVICE void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/// Waits until all kernels in front have ended and what they wrote can be read. Every thread of every kernel comes here before
/// it ends, so that whoever waits for a kernel has waited for those in front of it as well; until then it reads nothing but its
/// arguments and weights (`inside::close`), and writes nothing but shared memory.
G4_DEVICE void dependency_wait() {
#if !defined(__CUDACC__)
  cuda_machine::now->wait_for_kernels_in_front();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// The first line of a kernel that has nothing to do before it waits.
G4_DEVICE void begin_in_turn() {
  let_next_begin();
  dependency_wait();
}

// ---- Who comes last --------------------------------------------------------------------------------------------------

/// Which of several blocks comes to `counter`, counted from 0. All that the block's other threads wrote before their barrier
/// is seen by whoever comes later. One thread of a block.
G4_DEVICE unsigned take_ticket(unsigned* counter) {
#if defined(__CUDACC__)
  __threadfence();
  const unsigned mine = atomicAdd(counter, 1u);
  __threadfence();
  return mine;
#else
  return cuda_machine::now->count(counter);
#endif
}

/// What another block wrote, in this launch.
template <class T>
G4_DEVICE T read_fresh(const T* at) {
#if defined(__CUDACC__)
  return __ldcg(at);
#else
  return *at;
#endif
}

// ---- Products of tiles -----------------------------------------------------------------------------------------------

/// d [16, 8] += a [16, 16] · b [16, 8], a and b of half floats, sums in float32; the whole warp.
///
///     lane = 4·g + t
///     a[0] (g; 2t, 2t+1)   a[1] (g+8; 2t, 2t+1)   a[2] (g; 2t+8, 2t+9)   a[3] (g+8; 2t+8, 2t+9)     (row; columns)
///     b[0] (2t, 2t+1; g)   b[1] (2t+8, 2t+9; g)                                                    (rows; column)
///     d[0], d[1] (g; 2t, 2t+1)   d[2], d[3] (g+8; 2t, 2t+1)
///
/// On the host a sum of 16 products is exact and rounded once as it is added to d; a tensor core may round more often.
struct mma_16x8x16 {
  G4_DEVICE static void run(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(__CUDACC__)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    struct operands {
      float d[4];
      unsigned a[4], b[2];
    } mine;
    struct result {
      float d[4];
    };
    std::memcpy(mine.d, d, sizeof mine.d);
    std::memcpy(mine.a, a, sizeof mine.a);
    std::memcpy(mine.b, b, sizeof mine.b);
    const auto all = cuda_machine::now->together<result>(mine, [](const operands* of, result* to) {
      float left[16][16], right[16][8];
      for (unsigned l = 0; l < warp_size; ++l) {
        const unsigned g = l / 4, t = l % 4;
        for (unsigned i = 0; i < 4; ++i) {
          float* const two = &left[g + 8 * (i % 2)][2 * t + 8 * (i / 2)];
          two[0] = float_of_half(of[l].a[i] & 0xffff);
          two[1] = float_of_half(of[l].a[i] >> 16);
        }
        for (unsigned i = 0; i < 2; ++i) {
          right[2 * t + 8 * i][g] = float_of_half(of[l].b[i] & 0xffff);
          right[2 * t + 8 * i + 1][g] = float_of_half(of[l].b[i] >> 16);
        }
      }
      for (unsigned l = 0; l < warp_size; ++l) {
        for (unsigned i = 0; i < 4; ++i) {
          const unsigned row = l / 4 + 8 * (i / 2), column = 2 * (l % 4) + i % 2;
          double sum = 0;
          for (unsigned k = 0; k < 16; ++k) {
            sum += static_cast<double>(left[row][k]) * static_cast<double>(right[k][column]);
          }
          to[l].d[i] = static_cast<float>(static_cast<double>(of[l].d[i]) + sum);
        }
      }
    });
    std::memcpy(d, all.d, sizeof all.d);
#endif
  }
};

// ---- Copies that land later ------------------------------------------------------------------------------------------

/// A barrier in shared memory, for the copies of one warp: begun once, then in phases of a copy and a wait.
///
/// From compute capability 9.0 on a copy is one instruction that the memory system finishes by itself. Before, the warp
/// copies there and then, and the wait is the warp's.
struct landing {
#if defined(__CUDACC__)
  unsigned long long word;
#else
  cuda_machine::mbarrier word;
#endif

  /// All lanes, once.
  G4_DEVICE void begin() {
#if !defined(__CUDACC__)
    if (lane_index() == 0) word = {};
    __syncwarp();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (lane_index() == 0) {
      asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(&word))));
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncwarp();
#endif
  }
  /// All lanes: copies `bytes` to shared memory. Both ends are aligned to 16, and so are the bytes.
  G4_DEVICE void copy(void* to, const void* from, unsigned bytes) {
#if !defined(__CUDACC__)
    if (lane_index() == 0) cuda_machine::now->copy_later(word, to, from, bytes);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (lane_index() == 0) {
      const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(&word));
      asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
      asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                       static_cast<unsigned>(__cvta_generic_to_shared(to))),
                   "l"(from), "r"(bytes), "r"(at)
                   : "memory");
    }
#else
    for (unsigned i = lane_index() * 16; i < bytes; i += warp_size * 16) {
      *reinterpret_cast<uint4*>(static_cast<char*>(to) + i) =
          *reinterpret_cast<const uint4*>(static_cast<const char*>(from) + i);
    }
#endif
  }
  /// All lanes: waits for the end of the phase of this parity, 0 being the first's.
  G4_DEVICE void wait(unsigned parity) {
#if !defined(__CUDACC__)
    cuda_machine::now->wait_for_landing(word, parity);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(&word));
    asm volatile(
        "{\n\t.reg .pred done;\n"
        "again:\n\tmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t@done bra over;\n\tbra again;\n"
        "over:\n\t}" ::"r"(at),
        "r"(parity)
        : "memory");
#else
    (void)parity;
    __syncwarp();
#endif
  }
};

}  // namespace g4::G4_SPACE
