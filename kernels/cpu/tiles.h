/// Tiles of bytes: what a tile unit computes, in plain C++. `kernels/cpu/amx.h` is the same in the processor's own.
///
/// Eight tiles of 16 rows of 64 bytes. A tile is read from memory row by row, `stride` bytes apart, and multiplied into
/// another:
///
///     sums[m][n] += Σ_k Σ_i x[m][4k + i] · w[k][4n + i]        m, n, k < 16; i < 4; sums are int32, modulo 2³²
///
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: TILELOADD, TDPBSSD/TDPBSUD/TDPBUSD/
/// TDPBUUD, TILESTORED, TILEZERO, with every tile at its largest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace g4::cpu {

inline constexpr std::size_t tile_rows = 16;
inline constexpr std::size_t tile_row_bytes = 64;
inline constexpr std::size_t tile_bytes = tile_rows * tile_row_bytes;

/// The name of one of the eight tiles.
template <int Number>
struct tile_name {
  static_assert(Number >= 0 && Number < 8);
};

/// No tile unit: kernels never ask it for anything.
struct no_tiles {
  static constexpr bool possible = false;
  explicit constexpr no_tiles(bool /*wanted*/) {}
  [[nodiscard]] static constexpr bool on() { return false; }
};

/// The definition. Slow; tests run kernels on it wherever they are, and the processor's tiles must give its numbers.
class defined_tiles {
 public:
  static constexpr bool possible = true;
  [[nodiscard]] static constexpr bool on() { return true; }

  template <int To>
  void zero(tile_name<To>) {
    std::memset(tile_[To], 0, tile_bytes);
  }
  template <int To>
  void load(tile_name<To>, const void* from, std::size_t stride) {
    for (std::size_t m = 0; m < tile_rows; ++m) {
      std::memcpy(tile_[To][m], static_cast<const std::byte*>(from) + m * stride, tile_row_bytes);
    }
  }
  template <int From>
  void store(tile_name<From>, void* to, std::size_t stride) const {
    for (std::size_t m = 0; m < tile_rows; ++m) {
      std::memcpy(static_cast<std::byte*>(to) + m * stride, tile_[From][m], tile_row_bytes);
    }
  }

  // The first letter is the kind of x's bytes, the second of w's: unsigned or signed.
  template <int Sums, int X, int W>
  void add_uu(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    multiply<std::uint8_t, std::uint8_t>(tile_[Sums], tile_[X], tile_[W]);
  }
  template <int Sums, int X, int W>
  void add_us(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    multiply<std::uint8_t, std::int8_t>(tile_[Sums], tile_[X], tile_[W]);
  }
  template <int Sums, int X, int W>
  void add_su(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    multiply<std::int8_t, std::uint8_t>(tile_[Sums], tile_[X], tile_[W]);
  }
  template <int Sums, int X, int W>
  void add_ss(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    multiply<std::int8_t, std::int8_t>(tile_[Sums], tile_[X], tile_[W]);
  }

 private:
  using tile = std::uint8_t[tile_rows][tile_row_bytes];

  template <class XByte, class WByte>
  static void multiply(tile& sums, const tile& x, const tile& w) {
    for (std::size_t m = 0; m < tile_rows; ++m) {
      for (std::size_t n = 0; n < tile_row_bytes / 4; ++n) {
        std::uint32_t sum;
        std::memcpy(&sum, sums[m] + 4 * n, sizeof sum);
        for (std::size_t k = 0; k < tile_row_bytes / 4; ++k) {
          for (std::size_t i = 0; i < 4; ++i) {
            const int product = static_cast<XByte>(x[m][4 * k + i]) * static_cast<WByte>(w[k][4 * n + i]);
            sum += static_cast<std::uint32_t>(product);
          }
        }
        std::memcpy(sums[m] + 4 * n, &sum, sizeof sum);
      }
    }
  }

  tile tile_[8] = {};
};

}  // namespace g4::cpu
