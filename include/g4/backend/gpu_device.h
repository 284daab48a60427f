/// What `backend/gpu.h` and the devices it runs on share: their memory and what a host chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "g4/backend/numeric.h"
#include "g4/core/result.h"
#include "g4/core/token_id.h"

namespace g4 {

/// What a host chooses when it opens a GPU.
struct gpu_options {
  backend::numeric mode = backend::numeric::exact;  ///< exact or fast; fast8 is fast
  int device = 0;                                   ///< which of the machine's GPUs
  bool check_each = false;  ///< wait after every kernel, so that a failure names the kernel it happened in
  bool record = true;       ///< a step of a few rows is recorded the second time it comes, and replayed from then on
  bool dependent_launch = true;  ///< kernels begin before those in front have ended, from compute capability 9.0 on
  std::uint64_t seed = 0;        ///< of `cuda_on_host` alone: in which order blocks and threads run; 0 is theirs
  int capability = 80;           ///< of `cuda_on_host` alone: the compute capability it stands for, 80 or 90 (8.0, 9.0)
};

/// Calls of kernels in their order, and with what: a step that can be run again as it is. Empty where nothing was recorded.
class gpu_recording {
 public:
  gpu_recording() = default;
  explicit gpu_recording(std::shared_ptr<void> calls) : calls_(std::move(calls)) {}
  [[nodiscard]] void* get() const { return calls_.get(); }

 private:
  std::shared_ptr<void> calls_;
};

/// Where a device leaves a few tokens for the host as it goes on, each in a slot that the host waits for by itself.
class gpu_mailbox {
 public:
  gpu_mailbox() = default;
  explicit gpu_mailbox(std::shared_ptr<void> slots) : slots_(std::move(slots)) {}
  [[nodiscard]] void* get() const { return slots_.get(); }

 private:
  std::shared_ptr<void> slots_;
};

/// A block of a device's memory, given back with the object. The host may not follow a pointer into it.
class gpu_memory {
 public:
  static constexpr bool host_readable = false;

  gpu_memory() = default;
  /// `block` knows how it is given back.
  gpu_memory(std::shared_ptr<std::byte> block, std::size_t bytes) : block_(std::move(block)), bytes_(bytes) {}

  [[nodiscard]] std::byte* data() const { return block_.get(); }
  [[nodiscard]] std::size_t size() const { return bytes_; }

 private:
  std::shared_ptr<std::byte> block_;
  std::size_t bytes_ = 0;
};

}  // namespace g4
