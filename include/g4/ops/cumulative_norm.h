/// A norm over all of a sequence that has been heard so far.
#pragma once

#include <cmath>
#include <cstddef>

namespace g4::ops {

/// Rows [T, places, channels] that are normed by what they and those before them hold, and scaled channel by channel.
struct cumulative_norm {
  std::size_t places = 0;
  std::size_t channels = 0;
  float eps = 0;
  const float* weight = nullptr;  ///< [channels]

  [[nodiscard]] constexpr std::size_t width() const { return places * channels; }
};

/// Σ_i (x[t, i] − mean)²
template <class Scalar>
[[nodiscard]] double squares_about(const Scalar* x, std::size_t width, double mean) {
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const double away = static_cast<double>(x[i]) - mean;
    sum += away * away;
  }
  return sum;
}

/// Σ_i x[t, i]
template <class Scalar>
[[nodiscard]] double sum_of(const Scalar* x, std::size_t width) {
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

/// y[t] = (x[t] − mean) / √(variance + eps) · weight, of one row; y may be x.
template <class Scalar>
void norm_row(const cumulative_norm& n, const Scalar* x, double mean, double variance, Scalar* y) {
  const double factor = 1 / std::sqrt(variance + static_cast<double>(n.eps));
  for (std::size_t p = 0; p < n.places; ++p) {
    for (std::size_t c = 0; c < n.channels; ++c, ++x, ++y) {
      *y = static_cast<Scalar>((static_cast<double>(*x) - mean) * factor * static_cast<double>(n.weight[c]));
    }
  }
}

/// Norms T rows. With w numbers to a row:
///
///     mean[t] = Σ_{s ≤ t} Σ_i x[s, i] / (t + 1)w
///     var[t]  = Σ_{s ≤ t} Σ_i (x[s, i] − mean[s])² / (t + 1)w       each row about the mean that stood when it was heard
///     y[t]    = (x[t] − mean[t]) / √(var[t] + eps) · weight
///
/// `each(f)` calls f(t) for every row, in any order or at once: all that is done in order is to add up T numbers, in
/// double, since a sum over a whole sequence would lose what single rows add to it.
///
/// x, y         [T, places, channels]   may be the same array
/// mean, var    [T] of doubles, to work in
/// Source: Gemma3nAudioCumulativeGroupNorm of transformers 5.23.0.
template <class Scalar, class Each>
void norm_cumulatively(const cumulative_norm& n, const Scalar* x, std::size_t rows, double* mean, double* var,
                       Scalar* y, Each&& each) {
  const std::size_t width = n.width();
  each([&](std::size_t t) { mean[t] = sum_of(x + t * width, width); });
  const auto averaged = [&](double* of) {
    double sum = 0, count = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      sum += of[t];
      count += static_cast<double>(width);
      of[t] = sum / count;
    }
  };
  averaged(mean);
  each([&](std::size_t t) { var[t] = squares_about(x + t * width, width, mean[t]); });
  averaged(var);
  each([&](std::size_t t) { norm_row(n, x + t * width, mean[t], var[t], y + t * width); });
}

}  // namespace g4::ops
