/// A cosine with the last bits that NumPy gives it.
#pragma once

#include <cmath>
#include <initializer_list>

namespace g4::media {

namespace detail {

/// Σ_k of[k] · x^k, the highest power first, each step rounded to float as a fused multiply-add is.
template <class... Figure>
[[nodiscard]] inline double rounded_polynomial(double x, double highest, Figure... lower) {
  double sum = highest;
  ((sum = static_cast<double>(static_cast<float>(sum * x + lower))), ...);
  return sum;
}

}  // namespace detail

/// cos(angle) for angles of a few turns, as NumPy computes it in float32: within two units of the last place of the right
/// one, and not the right one. A window made of it lets a loud band leak into a quiet one a hair differently, and the
/// logarithm of the quiet band shows it.
///
///     q = ⌊2·angle/π + ½⌋,  r = angle − q·π/2 in three steps,  then a polynomial of cosine or sine by the quarter turn
///
/// Source: the figures are those of NumPy 2's float32 cosine (loops_trigonometric).
[[nodiscard]] inline float float_cosine(float angle) {
  using detail::rounded_polynomial;
  const double quarter = std::nearbyint(static_cast<double>(angle) * static_cast<double>(0x1.45f306p-1f));
  double r = static_cast<double>(angle);
  for (const double part : {-0x1.921fb0p+0, -0x1.5110b4p-22, -0x1.846988p-48}) r = rounded_polynomial(quarter, part, r);
  const double square = static_cast<double>(static_cast<float>(r * r));
  const double cosine = rounded_polynomial(square, 0x1.98e616p-16, -0x1.6c06dcp-10, 0x1.55553cp-5, -0.5, 1.0);
  double sine = rounded_polynomial(square, 0x1.7d3bbcp-19, -0x1.a06bbap-13, 0x1.11119ap-7, -0x1.555556p-3, 0.0);
  sine = rounded_polynomial(r, sine, r);
  const int turned = static_cast<int>(quarter) & 3;
  return static_cast<float>(turned == 0 ? cosine : turned == 1 ? -sine : turned == 2 ? -cosine : sine);
}

}  // namespace g4::media
