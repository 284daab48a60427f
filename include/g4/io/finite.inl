/// finite.h, defined.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "g4/io/finite.h"
#include "g4/ops/dequantise.h"

namespace g4::io {

namespace detail {

/// Whether any of the floats in `bytes` has all exponent bits set (infinity or NaN). Eight bytes at a time: adding
/// the exponent's lowest bit to a full exponent, and to no other, carries into the sign's place.
///
/// exponent, lowest, sign   the masks of one float, repeated over 64 bits
[[nodiscard]] inline bool any_full_exponent(std::span<const std::byte> bytes, std::uint64_t exponent,
                                            std::uint64_t lowest, std::uint64_t sign) {
  std::uint64_t found = 0;
  std::size_t i = 0;
  for (; i + 32 <= bytes.size(); i += 32) {
    for (std::size_t k = 0; k < 32; k += 8) {
      found |= (g4::detail::load<std::uint64_t>(bytes.data() + i + k) & exponent) + lowest;
    }
  }
  for (; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<std::size_t>(8, bytes.size() - i));
    found |= (word & exponent) + lowest;
  }
  return (found & sign) != 0;
}

/// The half floats of a block: d, and where there is one the minimum.
struct block_scales {
  std::array<std::size_t, 2> at{};
  std::size_t count = 0;
};

[[nodiscard]] constexpr block_scales scales_of(storage s) {
  switch (s) {
    case storage::q4_0:
    case storage::q5_0:
    case storage::q8_0:
    case storage::iq4_nl:
    case storage::iq4_xs: return {{0, 0}, 1};
    case storage::q4_1:
    case storage::q5_1:
    case storage::q4_k:
    case storage::q5_k: return {{0, 2}, 2};
    case storage::q6_k: return {{208, 0}, 1};
    case storage::q2_k: return {{80, 82}, 2};
    case storage::q3_k: return {{108, 0}, 1};
    case storage::mxfp4:
    case storage::f64:
    case storage::f32:
    case storage::f16:
    case storage::bf16:
    case storage::i16: break;
  }
  return {};
}

[[nodiscard]] inline bool any_non_finite(storage s, std::span<const std::byte> bytes) {
  switch (s) {
    case storage::f64: return any_full_exponent(bytes, 0x7ff0000000000000u, 0x0010000000000000u, 0x8000000000000000u);
    case storage::f32: return any_full_exponent(bytes, 0x7f8000007f800000u, 0x0080000000800000u, 0x8000000080000000u);
    case storage::f16: return any_full_exponent(bytes, 0x7c007c007c007c00u, 0x0400040004000400u, 0x8000800080008000u);
    case storage::bf16: return any_full_exponent(bytes, 0x7f807f807f807f80u, 0x0080008000800080u, 0x8000800080008000u);
    default: break;
  }
  const block_scales scales = scales_of(s);
  const std::size_t block = facts_of(s).block_bytes;
  if (block == 0) return false;
  if (s == storage::mxfp4) {  // a power of two that six would carry beyond the largest float
    std::byte largest{};
    for (std::size_t at = 0; at + block <= bytes.size(); at += block) largest = std::max(largest, bytes[at]);
    return std::to_integer<unsigned>(largest) > 252;
  }
  std::uint32_t found = 0;
  for (std::size_t at = 0; at + block <= bytes.size(); at += block) {
    for (std::size_t k = 0; k < scales.count; ++k) {
      const auto bits = g4::detail::load<std::uint16_t>(bytes.data() + at + scales.at[k]);
      found |= (bits & 0x7c00u) + 0x0400u;
    }
  }
  return (found & 0x8000u) != 0;
}

/// "row 3, column 640"; for more than two sizes the rows count through.
[[nodiscard]] inline std::string place_in(const stored_tensor& tensor, std::size_t element) {
  const std::size_t columns = tensor.dims.columns();
  return "row " + std::to_string(element / columns) + ", column " + std::to_string(element % columns);
}

}  // namespace detail

G4_INLINE result<void> check_finite(const tensor_file& file, const stored_tensor& tensor) {
  if (!tensor.type.weights) return {};
  const storage s = *tensor.type.weights;
  if (!detail::any_non_finite(s, tensor.bytes)) return {};
  // Something is wrong, so there is time to say where.
  const storage_facts facts = facts_of(s);
  std::size_t first = 0;
  while (!detail::any_non_finite(s, tensor.bytes.subspan(first * facts.block_bytes, facts.block_bytes))) ++first;
  const std::string place = detail::place_in(tensor, first * facts.block_elements);
  if (facts.block_elements == 1) {
    return fail(file.file_name(tensor), ": ", tensor.name, " holds a number that is not finite at ", place,
                "; the file is damaged");
  }
  return fail(file.file_name(tensor), ": ", tensor.name, " holds a block whose scale is not finite at ", place,
              "; the file is damaged");
}

G4_INLINE result<void> check_not_all_zero(const tensor_file& file, const stored_tensor& tensor) {
  if (!tensor.type.weights) return {};
  const storage s = *tensor.type.weights;
  const storage_facts facts = facts_of(s);
  // Bytes that are all nil mean numbers that are all nil in every storage: a quick way through holes in a file.
  std::array<float, 256> numbers{};
  const std::size_t blocks_at_once = facts.block_elements == 0 ? 0 : numbers.size() / facts.block_elements;
  if (blocks_at_once == 0) return {};
  const std::size_t step = blocks_at_once * facts.block_bytes;
  for (std::size_t at = 0; at < tensor.bytes.size(); at += step) {
    const auto part = tensor.bytes.subspan(at, std::min(step, tensor.bytes.size() - at));
    if (std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; })) continue;
    const std::size_t elements = part.size() / facts.block_bytes * facts.block_elements;
    dequantise(s, part.data(), elements, numbers.data());
    if (std::any_of(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(elements),
                    [](float x) { return x != 0.0f; })) {
      return {};
    }
  }
  return fail(file.file_name(tensor), ": ", tensor.name, " is zero throughout; the file was not written to its end");
}

}  // namespace g4::io
