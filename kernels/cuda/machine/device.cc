// The machine as a device: memory of its own, and kernels.
#include <cstring>
#include <utility>

#include "kernels/cuda/inside.h"

namespace g4::cuda_on_host {

device::device(std::unique_ptr<inside> in) : in_(std::move(in)) {}
device::device(device&&) noexcept = default;
device& device::operator=(device&&) noexcept = default;
device::~device() = default;

result<device> device::open(const gpu_options& options) {
  return device(std::make_unique<inside>(cuda_machine::settings{options.seed, cuda_machine::ordering::none}));
}

result<gpu_memory> device::take(std::size_t bytes) {
  auto block = in_->memory->take(bytes);
  if (block == nullptr) return fail("there is no memory for ", bytes, " bytes");
  return gpu_memory(std::move(block), bytes);
}

void device::put(const void* from, std::size_t bytes, void* to) { copy(from, bytes, to); }
void device::get(const void* from, std::size_t bytes, void* to) { copy(from, bytes, to); }
void device::copy(const void* from, std::size_t bytes, void* to) {
  const cuda_machine::opened memory_open(*in_->memory);
  std::memcpy(to, from, bytes);
}

result<void> device::failure() {
  if (in_->machine.failure().empty()) return {};
  return fail("CUDA on the host: ", in_->machine.failure());
}

}  // namespace g4::cuda_on_host
