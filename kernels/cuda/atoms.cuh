/// Whatever a kernel does together with its neighbours and is not C++: each beside its definition, which the host runs.
#pragma once

#include <cmath>

#include "kernels/cuda/device.cuh"

namespace g4::G4_SPACE {

constexpr unsigned warp_size = 32;

G4_DEVICE unsigned lane_index() { return threadIdx.x % warp_size; }
G4_DEVICE unsigned warp_index() { return threadIdx.x / warp_size; }

/// values[n] = Σ over the warp's lanes, in all of them, as a tree: lanes 16 apart first, then 8, 4, 2, 1. All 32 lanes
/// take part. Several numbers at a time cost the host one meeting.
template <int N>
struct warp_sums {
  G4_DEVICE static void run(float (&values)[N]) {
#if defined(__CUDACC__)
    for (int n = 0; n < N; ++n) {
      for (unsigned away = warp_size / 2; away != 0; away /= 2) {
        values[n] += __shfl_xor_sync(0xffffffffu, values[n], away);
      }
    }
#else
    struct shown {
      float values[N];
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
G4_DEVICE float warp_sum(float value) {
  float values[1] = {value};
  warp_sums<1>::run(values);
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

}  // namespace g4::G4_SPACE
