/// Random weights, written straight into the blocks of a storage: no float array of the tensor ever exists.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "g4/core/small_float.h"
#include "g4/tensor/storage.h"

namespace g4::bench {

/// splitmix64: one multiplication chain per 64 bits, the same on every machine.
class random_bits {
 public:
  explicit random_bits(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// Uniform in [−1, 1).
  float sign_unit() { return static_cast<float>(next() >> 40) * 0x1p-23f - 1.0f; }
  void bytes(std::byte* out, std::size_t count) {
    for (; count >= 8; count -= 8, out += 8) {
      const std::uint64_t bits = next();
      std::memcpy(out, &bits, 8);
    }
    const std::uint64_t bits = next();
    std::memcpy(out, &bits, count);
  }

 private:
  std::uint64_t state_;
};

/// Fills `blocks` blocks of a storage with numbers around `middle` that spread by about `sigma` (their standard
/// deviation). Plain floats are uniform. A block's integers are uniform bits, its scales fit `sigma`, and `middle` is 0.
inline void fill_random(storage s, std::byte* out, std::size_t blocks, float sigma, float middle, random_bits& random) {
  const auto half = [](float value, std::byte* at) {
    const std::uint16_t bits = f16_from_float(value);
    std::memcpy(at, &bits, 2);
  };
  const float reach = sigma * std::sqrt(3.0f);  // a uniform number in [−r, r] spreads by r / √3
  const std::size_t size = facts_of(s).block_bytes;
  for (std::size_t b = 0; b < blocks; ++b, out += size) {
    switch (s) {
      case storage::f32: {
        const float x = middle + reach * random.sign_unit();
        std::memcpy(out, &x, 4);
        break;
      }
      case storage::f16: half(middle + reach * random.sign_unit(), out); break;
      case storage::bf16: {
        const std::uint16_t bits = bf16_from_float(middle + reach * random.sign_unit());
        std::memcpy(out, &bits, 2);
        break;
      }
      // 2ⁿ equally likely integers spread by 2ⁿ / √12.
      case storage::q4_0:
        half(sigma / 4.61f, out);
        random.bytes(out + 2, 16);
        break;
      case storage::q5_0:
        half(sigma / 9.23f, out);
        random.bytes(out + 2, 20);
        break;
      case storage::q5_1:
        half(sigma / 9.23f, out);
        half(-15.5f * sigma / 9.23f, out + 2);
        random.bytes(out + 4, 20);
        break;
      case storage::q8_0:
        half(sigma / 73.9f, out);
        random.bytes(out + 2, 32);
        break;
      case storage::q4_k: {
        // Scales of 32 … 63 (root mean square 48.3) and equal minima; dmin = 7.5·d puts the middle of 0 … 15 at 0.
        const float d = sigma / (4.61f * 48.3f);
        half(d, out);
        half(7.5f * d, out + 2);
        const std::uint64_t bits = random.next();
        std::uint8_t scale[8];
        for (int j = 0; j < 8; ++j) scale[j] = static_cast<std::uint8_t>(32 + ((bits >> (5 * j)) & 31));
        for (int j = 0; j < 4; ++j) {
          const auto low = static_cast<std::uint8_t>(scale[j] | ((scale[j + 4] >> 4) << 6));
          out[4 + j] = out[8 + j] = std::byte{low};
          out[12 + j] = std::byte{static_cast<std::uint8_t>((scale[j + 4] & 15) * 0x11)};
        }
        random.bytes(out + 16, 128);
        break;
      }
      case storage::q6_k: {
        random.bytes(out, 192);
        const std::uint64_t bits[2] = {random.next(), random.next()};
        for (int j = 0; j < 16; ++j) {
          // ±64 … ±127, root mean square 97.2
          const auto eight = static_cast<int>((bits[j / 8] >> (8 * (j % 8))) & 255);
          const int magnitude = 64 + (eight & 63);
          out[192 + j] = static_cast<std::byte>(static_cast<std::int8_t>(eight > 127 ? -magnitude : magnitude));
        }
        half(sigma / (18.47f * 97.2f), out + 208);
        break;
      }
      default: std::memset(out, 0, size); break;
    }
  }
}

}  // namespace g4::bench
