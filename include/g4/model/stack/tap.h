/// Looking inside a running model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace g4 {

/// What a tap is shown: an inner tensor on the host, valid only during the call.
///
///     data   [streams, rows, width]   streams is 1 except for the AltUp streams of `hidden`
template <class Scalar>
struct tapped {
  const char* name;  ///< "embed", "hidden", "attn.query", …: the names of conformance/README.md without the layer
  int layer;         ///< −1 for tensors of the whole model
  const Scalar* data;
  std::size_t rows;
  std::size_t width;
  std::size_t streams = 1;
  const std::int32_t* indices = nullptr;  ///< for "router": the chosen experts [rows, width]
};

/// A function that is called with every inner tensor; null by default, and then nothing is paid for it.
template <class Scalar>
struct tap {
  void* self = nullptr;
  void (*see)(void* self, const tapped<Scalar>& what) = nullptr;
};

/// A tap on a backend: brings each tensor to where the host can read it before it is shown.
template <class B>
class watcher {
 public:
  using scalar = typename B::scalar;

  watcher() = default;
  explicit watcher(tap<scalar> to) : to_(to) {}

  [[nodiscard]] bool watching() const { return to_.see != nullptr; }

  /// chosen   how many `indices` there are to a row, where there are any
  void operator()(B& on, const char* name, int layer, const scalar* data, std::size_t rows, std::size_t width,
                  std::size_t streams = 1, const std::int32_t* indices = nullptr, std::size_t chosen = 0) {
    if (to_.see == nullptr) return;
    const std::size_t n = streams * rows * width;
    if (room_.size() < n) room_.resize(n);
    if (index_room_.size() < rows * chosen) index_room_.resize(rows * chosen);
    const scalar* const seen = on.host(data, n, room_.data());
    if (indices != nullptr) indices = on.host(indices, rows * chosen, index_room_.data());
    to_.see(to_.self, {name, layer, seen, rows, width, streams, indices});
  }

 private:
  tap<scalar> to_;
  std::vector<scalar> room_;
  std::vector<std::int32_t> index_room_;
};

}  // namespace g4
