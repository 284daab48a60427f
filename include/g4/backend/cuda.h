/// The CUDA backend: an NVIDIA GPU. Link `g4::cuda`.
///
/// Written, and proven kernel by kernel on the host (`backend/cuda_on_host.h`); not yet run on a card.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "g4/backend/gpu.h"
#include "g4/backend/gpu_calls.h"
#include "g4/backend/gpu_device.h"
#include "g4/core/result.h"

namespace g4::cuda {

/// A GPU and its kernels, in a stream of its own.
class device {
 public:
  [[nodiscard]] static result<device> open(const gpu_options& options);

  device(device&&) noexcept;
  device& operator=(device&&) noexcept;
  ~device();

  /// Whether it has the products of warpgroups: compute capability 9.0.
  [[nodiscard]] bool has_wgmma() const;
  [[nodiscard]] result<gpu_memory> take(std::size_t bytes);
  void put(const void* from, std::size_t bytes, void* to);
  void get(const void* from, std::size_t bytes, void* to);
  void copy(const void* from, std::size_t bytes, void* to);
  /// From now on calls and copies are noted instead of done, until `end_recording`, which gives them; `run` does them.
  void begin_recording();
  [[nodiscard]] gpu_recording end_recording();
  void run(const gpu_recording& steps);
  [[nodiscard]] result<gpu_mailbox> mailbox(std::size_t slots);
  /// Copies a token to a slot, which nobody may then send to before it has been received from.
  void send(const gpu_mailbox& box, std::size_t slot, const token_id* from);
  /// Waits for what was asked for up to the slot's `send`, and for nothing behind it.
  [[nodiscard]] result<token_id> receive(const gpu_mailbox& box, std::size_t slot);
  /// What went wrong first, in a sentence. It waits for all that was asked for.
  [[nodiscard]] result<void> failure();

#define G4_RUN(call) void run(const gpu_calls::call&);
  G4_GPU_CALLS(G4_RUN)
#undef G4_RUN

  struct inside;
  [[nodiscard]] inside& in() { return *in_; }

 private:
  explicit device(std::unique_ptr<inside> in);
  std::unique_ptr<inside> in_;
};

}  // namespace g4::cuda

namespace g4::backend {

class cuda : public gpu<g4::cuda::device> {
 public:
  using gpu<g4::cuda::device>::gpu;

  /// Fails where there is no driver, no such device, or one that is too old.
  [[nodiscard]] static result<cuda> open(const gpu_options& choice = {}) {
    auto device = g4::cuda::device::open(choice);
    if (!device) return unexpected(std::move(device.error()));
    return cuda(std::move(*device), choice);
  }
};

static_assert(Backend<cuda> && TowerBackend<cuda>);

}  // namespace g4::backend
