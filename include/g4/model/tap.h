/// Looking inside a running model.
#pragma once

#include <cstddef>

namespace g4 {

/// What a tap is shown: an inner tensor, valid only during the call.
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
  const void* indices = nullptr;  ///< for "router": the chosen experts, int32 [rows, width]
};

/// A function that is called with every inner tensor; null by default, and then nothing is paid for it.
template <class Scalar>
struct tap {
  void* self = nullptr;
  void (*see)(void* self, const tapped<Scalar>& what) = nullptr;

  void operator()(const char* name, int layer, const Scalar* data, std::size_t rows, std::size_t width,
                  std::size_t streams = 1, const void* indices = nullptr) const {
    if (see != nullptr) see(self, {name, layer, data, rows, width, streams, indices});
  }
};

}  // namespace g4
