/// What a device is made of, and how a kernel is started on it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch_limits.h"

#if defined(__CUDACC__)

#include "g4/backend/cuda.h"

struct g4::cuda::device::inside {
  cudaStream_t stream = nullptr;
  int number = 0;
  bool check_each = false;
  bool recording = false;
  bool dependent_launch = false;  ///< whether a kernel can begin before those in front have ended
  bool closed = false;            ///< the next one does not
  bool has_wgmma = false;
  std::string failed;  ///< the first failure's sentence

  /// Remembers what went wrong first.
  void note(cudaError_t status, const char* where) {
    if (status == cudaSuccess || !failed.empty()) return;
    failed = std::string("CUDA: ") + where + ": " + cudaGetErrorString(status);
  }

  template <class Call>
  void launch(const char* name, void (*kernel)(Call), const grid_size& grid, unsigned threads, std::size_t shared,
              const Call& call) {
    if (!failed.empty()) return;
    if (const std::string why = why_not(grid); !why.empty()) {
      failed = std::string("CUDA: ") + name + ": " + why;
      return;
    }
    constexpr std::size_t always_allowed = std::size_t{48} << 10;
    if (shared > always_allowed) {
      note(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), name);
    }
    const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
    cudaLaunchAttribute early{};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how{};
    how.gridDim = blocks;
    how.blockDim = threads;
    how.dynamicSmemBytes = shared;
    how.stream = stream;
    how.attrs = &early;
    how.numAttrs = !std::exchange(closed, false) && dependent_launch ? 1 : 0;
    note(cudaLaunchKernelEx(&how, kernel, call), name);
    if (check_each && !recording) note(cudaStreamSynchronize(stream), name);
  }
  /// What was asked for so far has ended before the next kernel begins: for what kernels read before they wait.
  void close() { closed = true; }
};

#else

#include "g4/backend/cuda_on_host.h"
#include "kernels/cuda/machine/far_memory.h"
#include "kernels/cuda/machine/machine.h"

struct g4::cuda_on_host::device::inside {
  inside(const cuda_machine::settings& how, bool dependent) : machine(how), dependent_launch(dependent) {
    memory->before_any_is_given_back = [this] { finish(); };
  }
  inside(const inside&) = delete;
  inside& operator=(const inside&) = delete;
  ~inside() {
    finish();
    memory->before_any_is_given_back = nullptr;
  }

  cuda_machine::machine machine;
  std::shared_ptr<cuda_machine::far_memory> memory = std::make_shared<cuda_machine::far_memory>();
  using steps = std::vector<std::function<void()>>;
  std::shared_ptr<steps> recording;  ///< null unless calls are being noted
  std::size_t replayed = 0;
  bool dependent_launch;  ///< whether a kernel can begin before those in front have ended
  bool closed = false;    ///< the next one does not
  std::string failed;  ///< what was asked for in the middle of a recording and cannot be

  template <class Call>
  void launch(const char* name, void (*kernel)(Call), const grid_size& grid, unsigned threads, std::size_t shared,
              const Call& call) {
    const bool early = !std::exchange(closed, false) && dependent_launch;
    if (recording != nullptr) {
      recording->emplace_back([=, this] { launch_now(name, kernel, grid, threads, shared, early, call); });
    } else {
      launch_now(name, kernel, grid, threads, shared, early, call);
    }
  }
  template <class Call>
  void launch_now(const char* name, void (*kernel)(Call), const grid_size& grid, unsigned threads, std::size_t shared,
                  bool early, const Call& call) {
    const cuda_machine::opened memory_open(*memory);
    machine.launch_behind(name, kernel, grid, threads, shared, early, call);
  }
  /// What was asked for so far has ended before the next kernel begins: for what kernels read before they wait.
  void close() { closed = true; }
  /// Runs what the machine was asked for and has not run.
  void finish() {
    const cuda_machine::opened memory_open(*memory);
    machine.finish();
  }
};

#endif
