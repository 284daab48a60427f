/// How exactly a backend computes.
#pragma once

namespace g4::backend {

enum class numeric {
  exact,  ///< weights as stored, float32 activations and sums: ordinary float32 rounding against `reference<double>`
  fast,   ///< weights in an order of the backend's own (`prepare`), activations rounded before each product: by the cpu
          ///< backend to 14 bits per block of 32, by a GPU to half floats
  fast8,  ///< the cpu backend's alone: as `fast`, but of 16 tokens and more at once to 8 bits: a prompt is read faster,
          ///< with another engine's error
};

}  // namespace g4::backend
