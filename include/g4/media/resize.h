/// Another size of a picture, as image libraries make it when they are asked for a smooth one without aliases.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/media/picture.h"

namespace g4::media {

/// What pixels are joined by: Keys' cubic, or a triangle.
enum class joined_by : std::uint8_t { cubic, triangle };

namespace detail {

/// Keys' cubic with a = −1/2.
[[nodiscard]] inline double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// What each pixel of a resized line is made of: `weights` of the pixels from `first` on, in 22 bits behind the point.
struct line_weights {
  struct taps {
    std::size_t first = 0;
    std::vector<std::int32_t> weights;
  };
  std::vector<taps> of;

  line_weights(std::size_t from, std::size_t to, joined_by how = joined_by::cubic) : of(to) {
    const double scale = static_cast<double>(from) / static_cast<double>(to);
    const double stretch = std::max(scale, 1.0);  // downwards it is as wide as the pixels it joins
    const double reach = (how == joined_by::cubic ? 2 : 1) * stretch;
    for (std::size_t i = 0; i < to; ++i) {
      const double centre = (static_cast<double>(i) + 0.5) * scale;
      const auto bound = [&](double x) {
        return static_cast<std::size_t>(std::clamp(std::trunc(x + 0.5), 0.0, static_cast<double>(from)));
      };
      const std::size_t first = bound(centre - reach), end = bound(centre + reach);
      std::vector<double> parts;
      double sum = 0;
      for (std::size_t p = first; p < end; ++p) {
        const double at = (static_cast<double>(p) - centre + 0.5) / stretch;
        parts.push_back(how == joined_by::cubic ? cubic(at) : std::max(0.0, 1 - std::abs(at)));
        sum += parts.back();
      }
      of[i].first = first;
      for (const double part : parts) {
        const double whole = part / (sum != 0 ? sum : 1) * (1 << bits);
        of[i].weights.push_back(static_cast<std::int32_t>(whole < 0 ? whole - 0.5 : whole + 0.5));
      }
    }
  }

  static constexpr int bits = 32 - 8 - 2;

  [[nodiscard]] static std::uint8_t rounded(std::int64_t sum) {
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>((sum + (1 << (bits - 1))) >> bits, 0, 255));
  }
};

}  // namespace detail

/// The picture in height × width pixels, neither nought: columns first, then rows, each rounded to 8 bits.
///
///     y[i] = Σ_p w_i(p) x[p],   w_i(p) ∝ f((p + ½ − (i + ½)·s) / max(s, 1)),   s = old size / new size, f what joins them
///
/// Source: Pillow's Image.resize with BICUBIC or BILINEAR, which torchvision's resize with antialias follows.
[[nodiscard]] inline pixels resized(const picture& x, std::size_t height, std::size_t width,
                                    joined_by how = joined_by::cubic) {
  constexpr std::size_t colours = 3;
  pixels wide{std::vector<std::uint8_t>(x.height * width * colours), x.height, width};
  if (width == x.width) {
    wide.rgb.assign(x.rgb.begin(), x.rgb.end());
  } else {
    const detail::line_weights across(x.width, width, how);
    for (std::size_t row = 0; row < x.height; ++row) {
      for (std::size_t i = 0; i < width; ++i) {
        const auto& taps = across.of[i];
        for (std::size_t c = 0; c < colours; ++c) {
          std::int64_t sum = 0;
          for (std::size_t p = 0; p < taps.weights.size(); ++p) {
            sum += std::int64_t{taps.weights[p]} * x.rgb[(row * x.width + taps.first + p) * colours + c];
          }
          wide.rgb[(row * width + i) * colours + c] = detail::line_weights::rounded(sum);
        }
      }
    }
  }
  if (height == x.height) return wide;
  pixels out{std::vector<std::uint8_t>(height * width * colours), height, width};
  const detail::line_weights down(x.height, height, how);
  const std::size_t line = width * colours;
  std::vector<std::int64_t> sums(line);
  for (std::size_t i = 0; i < height; ++i) {
    const auto& taps = down.of[i];
    std::fill(sums.begin(), sums.end(), 0);
    for (std::size_t p = 0; p < taps.weights.size(); ++p) {
      const std::uint8_t* const from = wide.rgb.data() + (taps.first + p) * line;
      for (std::size_t j = 0; j < line; ++j) sums[j] += std::int64_t{taps.weights[p]} * from[j];
    }
    for (std::size_t j = 0; j < line; ++j) out.rgb[i * line + j] = detail::line_weights::rounded(sums[j]);
  }
  return out;
}

}  // namespace g4::media
