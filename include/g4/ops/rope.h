/// Rotary position embedding.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace g4::ops {

/// Rotates the pair (i, i + d/2) of every head by its token's i-th angle ("half-split" or NEOX pairing).
///
///     y[i]       = x[i]·cos[t, i] − x[i + d/2]·sin[t, i]
///     y[i + d/2] = x[i + d/2]·cos[t, i] + x[i]·sin[t, i]
///
/// x          [tokens, heads, d]   in place
/// cos, sin   [tokens, d/2]
/// Source: transformers 5.23.0, rotate_half and apply_rotary_pos_emb of modeling_gemma4.py.
template <class Scalar>
void rope(Scalar* x, std::size_t tokens, std::size_t heads, std::size_t d, const Scalar* cos, const Scalar* sin) {
  const std::size_t half = d / 2;
  for (std::size_t t = 0; t < tokens; ++t, cos += half, sin += half) {
    for (std::size_t h = 0; h < heads; ++h, x += d) {
      for (std::size_t i = 0; i < half; ++i) {
        const Scalar a = x[i];
        const Scalar b = x[i + half];
        x[i] = a * cos[i] - b * sin[i];
        x[i + half] = b * cos[i] + a * sin[i];
      }
    }
  }
}

/// Rotates the halves of every head by two sets of angles: pairs (i, i + d/4) of the first half by those of a row's column,
/// pairs of the second half by those of its row. Each half is turned as `rope` turns a head of d/2.
///
/// x          [rows, heads, d]   in place
/// cos, sin   [rows, 2, d/4]
/// Source: transformers 5.23.0, apply_multidimensional_rope of modeling_gemma4.py.
template <class Scalar>
void rope_2d(Scalar* x, std::size_t rows, std::size_t heads, std::size_t d, const Scalar* cos, const Scalar* sin) {
  const std::size_t half = d / 2, pairs = d / 4;
  for (std::size_t t = 0; t < rows; ++t, cos += 2 * pairs, sin += 2 * pairs) {
    for (std::size_t h = 0; h < heads; ++h, x += d) {
      rope(x, 1, 1, half, cos, sin);
      rope(x + half, 1, 1, half, cos + pairs, sin + pairs);
    }
  }
}

/// Cosines and sines of one token's angles.
///
///     angle[i] = position · frequency[i]
///
/// The reference multiplies in float32, so a float32 backend does too: at position 262143 the rounding of that product
/// moves the angle by up to 0.02, which a float64 angle would not show. A float64 backend gets the exact angle.
template <class Scalar>
void rope_angles(const double* frequency, std::size_t half, std::int64_t position, Scalar* cos, Scalar* sin) {
  for (std::size_t i = 0; i < half; ++i) {
    const auto angle = static_cast<Scalar>(frequency[i]) * static_cast<Scalar>(position);
    cos[i] = std::cos(angle);
    sin[i] = std::sin(angle);
  }
}

}  // namespace g4::ops
