// The machine as a device: memory of its own, and kernels.
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/cuda/inside.h"

namespace g4::cuda_on_host {

device::device(std::unique_ptr<inside> in) : in_(std::move(in)) {}
device::device(device&&) noexcept = default;
device& device::operator=(device&&) noexcept = default;
device::~device() = default;

result<device> device::open(const gpu_options& options) {
  const cuda_machine::settings how{options.seed, cuda_machine::ordering::none, options.capability};
  return device(std::make_unique<inside>(how, options.dependent_launch));
}

bool device::has_wgmma() const { return in_->machine.how().capability == 90; }

result<gpu_memory> device::take(std::size_t bytes) {
  auto block = in_->memory->take(bytes);
  if (block == nullptr) return fail("there is no memory for ", bytes, " bytes");
  return gpu_memory(std::move(block), bytes);
}

namespace {

void copy_now(device::inside& in, const void* from, std::size_t bytes, void* to) {
  in.finish();
  const cuda_machine::opened memory_open(*in.memory);
  std::memcpy(to, from, bytes);
}
void copy_across(device::inside& in, const void* from, std::size_t bytes, void* to) {
  if (in.recording == nullptr) return copy_now(in, from, bytes, to);
  if (in.failed.empty()) in.failed = "a copy from or to the host in the middle of a recording";
}

}  // namespace

void device::put(const void* from, std::size_t bytes, void* to) { copy_across(*in_, from, bytes, to); }
void device::get(const void* from, std::size_t bytes, void* to) { copy_across(*in_, from, bytes, to); }
void device::copy(const void* from, std::size_t bytes, void* to) {
  if (in_->recording == nullptr) return copy_now(*in_, from, bytes, to);
  in_->recording->emplace_back([in = in_.get(), from, bytes, to] { copy_now(*in, from, bytes, to); });
}

void device::begin_recording() { in_->recording = std::make_shared<inside::steps>(); }
gpu_recording device::end_recording() { return gpu_recording(std::exchange(in_->recording, nullptr)); }
void device::run(const gpu_recording& steps) {
  if (steps.get() == nullptr) return;
  in_->finish();  // a graph begins when all in front of it has ended
  ++in_->replayed;
  for (const auto& step : *static_cast<inside::steps*>(steps.get())) step();
}

namespace {

struct slots {
  std::vector<std::optional<token_id>> held;
};

}  // namespace

result<gpu_mailbox> device::mailbox(std::size_t count) {
  auto made = std::make_shared<slots>();
  made->held.resize(count);
  return gpu_mailbox(std::move(made));
}
void device::send(const gpu_mailbox& box, std::size_t slot, const token_id* from) {
  std::optional<token_id>& held = static_cast<slots*>(box.get())->held[slot];
  if (held && in_->failed.empty()) in_->failed = "a token was sent to a slot that holds one nobody has received";
  token_id copied = no_token;
  copy_across(*in_, from, sizeof copied, &copied);
  held = copied;
}
result<token_id> device::receive(const gpu_mailbox& box, std::size_t slot) {
  std::optional<token_id>& held = static_cast<slots*>(box.get())->held[slot];
  if (!held && in_->failed.empty()) in_->failed = "a token was to be received from a slot that nobody has sent one to";
  if (auto sound = failure(); !sound) return unexpected(std::move(sound.error()));
  return *std::exchange(held, std::nullopt);
}

result<void> device::failure() {
  in_->finish();
  if (!in_->failed.empty()) return fail("CUDA on the host: ", in_->failed);
  if (in_->machine.failure().empty()) return {};
  return fail("CUDA on the host: ", in_->machine.failure());
}

}  // namespace g4::cuda_on_host
