/// What a fuzz target does with a checkpoint that was accepted: touches every byte it was promised.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "g4/io/finite.h"
#include "g4/io/tensor_file.h"
#include "g4/ops/dequantise.h"

namespace g4::fuzz {

inline volatile std::uint64_t sink = 0;

inline void touch(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<std::uint64_t>(b);
  sink = sink + sum;
}

/// Stops the fuzzer: a promise of the reader was broken.
inline void expect(bool holds) {
  if (!holds) std::abort();
}

inline void read_all(const io::tensor_file& file) {
  for (const io::stored_tensor& tensor : file.tensors()) {
    expect(file.find(tensor.name) == &tensor);
    expect(io::bytes_of(tensor.type, tensor.dims) == tensor.bytes.size());
    touch(tensor.bytes);
    const auto storage = io::storage_of(file, tensor);
    if (!storage) {
      expect(!storage.error().message.empty());
      continue;
    }
    (void)io::check_finite(file, tensor);
    (void)io::check_not_all_zero(file, tensor);
    const std::size_t columns = tensor.dims.columns();
    const std::size_t stride = row_bytes(*storage, columns);
    if (stride == 0 || tensor.bytes.empty()) continue;
    expect(tensor.bytes.size() % stride == 0);
    std::vector<float> row(columns);
    for (std::size_t at = 0; at < tensor.bytes.size(); at += stride) {
      dequantise(*storage, tensor.bytes.data() + at, columns, row.data());
      sink = sink + (row[columns - 1] > 0.0f ? 1u : 0u);
    }
  }
}

}  // namespace g4::fuzz
