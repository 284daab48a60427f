// A GPU as a device: its memory, the copies to and fro, and what went wrong.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/inside.h"

namespace g4::cuda {

namespace {

/// As a sentence of our own: the runtime's says what happened, not to whom.
[[nodiscard]] unexpected refused(const std::string& what, cudaError_t status) {
  return fail("CUDA: ", what, ": ", std::string(cudaGetErrorString(status)));
}

}  // namespace

device::device(std::unique_ptr<inside> in) : in_(std::move(in)) {}
device::device(device&&) noexcept = default;
device& device::operator=(device&&) noexcept = default;
device::~device() {
  if (in_ != nullptr && in_->stream != nullptr) cudaStreamDestroy(in_->stream);
}

result<device> device::open(const gpu_options& options) {
  int count = 0;
  if (const auto status = cudaGetDeviceCount(&count); status != cudaSuccess)
    return refused("no GPU can be used", status);
  if (options.device < 0 || options.device >= count) {
    return fail("CUDA: there is no device ", options.device, "; this machine has ", count);
  }
  cudaDeviceProp facts{};
  if (const auto status = cudaGetDeviceProperties(&facts, options.device); status != cudaSuccess) {
    return refused("device " + std::to_string(options.device), status);
  }
  if (facts.major < 8) {
    return fail("CUDA: device ", options.device, ", ", std::string(facts.name), ", is of compute capability ",
                facts.major, ".", facts.minor, "; 8.0 is needed");
  }
  auto in = std::make_unique<inside>();
  in->number = options.device;
  in->check_each = options.check_each;
  in->dependent_launch = options.dependent_launch && facts.major >= 9;
  in->has_wgmma = facts.major == 9 && facts.minor == 0;
  if (const auto status = cudaSetDevice(options.device); status != cudaSuccess) return refused("cudaSetDevice", status);
  if (const auto status = cudaStreamCreateWithFlags(&in->stream, cudaStreamNonBlocking); status != cudaSuccess) {
    return refused("cudaStreamCreate", status);
  }
  return device(std::move(in));
}

bool device::has_wgmma() const { return in_->has_wgmma; }

result<gpu_memory> device::take(std::size_t bytes) {
  in_->note(cudaSetDevice(in_->number), "cudaSetDevice");
  void* p = nullptr;
  if (const auto status = cudaMalloc(&p, bytes); status != cudaSuccess) {
    (void)cudaGetLastError();  // it is said here, and not again by the next kernel
    return refused("there is no memory for " + std::to_string(bytes) + " bytes", status);
  }
  // cudaFree waits for the kernels that may still be reading.
  return gpu_memory({static_cast<std::byte*>(p), [](std::byte* block) { (void)cudaFree(block); }}, bytes);
}

// The host's memory may change as soon as these return, so they wait.
void device::put(const void* from, std::size_t bytes, void* to) {
  in_->note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, in_->stream), "a copy to the device");
  in_->note(cudaStreamSynchronize(in_->stream), "a copy to the device");
}
void device::get(const void* from, std::size_t bytes, void* to) {
  in_->note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, in_->stream), "a copy from the device");
  in_->note(cudaStreamSynchronize(in_->stream), "a copy from the device");
}
void device::copy(const void* from, std::size_t bytes, void* to) {
  in_->note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, in_->stream), "a copy on the device");
}

// Every call to the stream is noted by the runtime, in the order that the stream would have it.
void device::begin_recording() {
  in_->recording = true;
  in_->note(cudaStreamBeginCapture(in_->stream, cudaStreamCaptureModeRelaxed), "the beginning of a recording");
}
gpu_recording device::end_recording() {
  in_->recording = false;
  cudaGraph_t graph = nullptr;
  in_->note(cudaStreamEndCapture(in_->stream, &graph), "a recording");
  if (graph == nullptr) return {};
  cudaGraphExec_t ready = nullptr;
  in_->note(cudaGraphInstantiate(&ready, graph, 0), "a recording");
  cudaGraphDestroy(graph);
  return gpu_recording(
      {static_cast<void*>(ready), [](void* p) { (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(p)); }});
}
void device::run(const gpu_recording& steps) {
  if (steps.get() == nullptr || !in_->failed.empty()) return;
  in_->note(cudaGraphLaunch(static_cast<cudaGraphExec_t>(steps.get()), in_->stream), "a recorded step");
}

namespace {

/// Tokens in memory that both can reach, and what tells that each has come.
struct slots {
  token_id* at = nullptr;
  std::vector<cudaEvent_t> come;

  slots() = default;
  slots(const slots&) = delete;
  slots& operator=(const slots&) = delete;
  ~slots() {
    for (const cudaEvent_t event : come) {
      (void)cudaEventSynchronize(event);  // a copy may be on its way
      (void)cudaEventDestroy(event);
    }
    (void)cudaFreeHost(at);
  }
};

}  // namespace

result<gpu_mailbox> device::mailbox(std::size_t count) {
  auto made = std::make_shared<slots>();
  if (const auto status = cudaMallocHost(&made->at, count * sizeof(token_id)); status != cudaSuccess) {
    (void)cudaGetLastError();
    return refused("there is no memory that the host and the device share", status);
  }
  while (made->come.size() < count) {
    cudaEvent_t event = nullptr;
    if (const auto status = cudaEventCreateWithFlags(&event, cudaEventDisableTiming); status != cudaSuccess) {
      return refused("cudaEventCreate", status);
    }
    made->come.push_back(event);
  }
  return gpu_mailbox(std::move(made));
}
void device::send(const gpu_mailbox& box, std::size_t slot, const token_id* from) {
  const auto& to = *static_cast<const slots*>(box.get());
  in_->note(cudaMemcpyAsync(to.at + slot, from, sizeof(token_id), cudaMemcpyDeviceToHost, in_->stream), "a token's way");
  in_->note(cudaEventRecord(to.come[slot], in_->stream), "a token's way");
}
result<token_id> device::receive(const gpu_mailbox& box, std::size_t slot) {
  const auto& from = *static_cast<const slots*>(box.get());
  in_->note(cudaEventSynchronize(from.come[slot]), "the kernels before a token");
  if (!in_->failed.empty()) return fail(in_->failed);
  return from.at[slot];
}

result<void> device::failure() {
  in_->note(cudaStreamSynchronize(in_->stream), "the kernels before");
  if (in_->failed.empty()) return {};
  return fail(in_->failed);
}

}  // namespace g4::cuda
