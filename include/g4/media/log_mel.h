/// From samples to log-mel features: what a sound tower reads.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "g4/media/float_cosine.h"
#include "g4/spec/sound.h"

namespace g4::media {

/// Which frames a sound is cut into and which bands each is heard in. `fft` is a power of two, at least `window`. The
/// settings as they stand are those of Gemma 4.
struct log_mel_settings {
  std::size_t bins = 128;
  std::size_t window = 320;  ///< samples of a frame
  std::size_t step = 160;    ///< samples from one frame to the next
  std::size_t fft = 512;
  double rate = 16'000;
  double least_hz = 0;
  double most_hz = 8'000;
  double floor = 0.001;      ///< added to a band before its logarithm
  double least = 0;          ///< a band counts for at least so much
  double emphasis = 0;       ///< so much of the sample before it is taken from each; of a frame's first, from itself
  std::size_t before = window / 2;  ///< noughts in front of the sound
  std::size_t multiple = 1;         ///< noughts behind it, so that its length is a multiple of so many samples
};

/// The settings of a tower's stages: the reference's transform is the power of two that a window fits into, and bands
/// reach over all that the rate can hold; or as Gemma 3n has them.
[[nodiscard]] constexpr log_mel_settings settings_of(const stage::log_mel& mel, const stage::waveform& sound) {
  log_mel_settings how;
  how.bins = static_cast<std::size_t>(mel.bins);
  how.window = static_cast<std::size_t>(mel.window);
  how.step = static_cast<std::size_t>(mel.step);
  how.fft = std::bit_ceil(how.window);
  how.rate = sound.rate;
  how.most_hz = how.rate / 2;
  how.before = how.window / 2;
  if (mel.emphasised) {
    how.fft *= 2;
    how.least_hz = 125;
    how.most_hz = 7'600;
    how.floor = 0;
    how.least = 1e-5;
    how.emphasis = 0.97;
    how.before = 0;
    how.multiple = 128;
  }
  return how;
}

/// Log-mel features, as the sound towers of Gemma 3n and 4 hear.
///
///     frame t is samples [step·t − before, step·t − before + window); what lies outside of the sound is nought
///     e[t, i]  = frame[t, i] − emphasis · frame[t, i − 1],   e[t, 0] = frame[t, 0] · (1 − emphasis)
///     X[t, k]  = |Σ_i hann(i) · e[t, i] · exp(−2πi·ik/fft)|                k = 0 … fft/2
///     y[t, b]  = log(max(Σ_k X[t, k] · triangle_b(k), least) + floor)
///
/// The triangles stand evenly on the HTK mel scale, 2595·log10(1 + f/700), and reach from one neighbour's middle to the
/// other's; they are not scaled by their area. A frame counts when its samples and the one behind them are there, or are
/// among the noughts that make the length a `multiple`.
///
/// Source: feature_extraction_gemma4.py of transformers 5.23.0, which computes in float64 as this does, and
/// feature_extraction_gemma3n.py, which rounds what goes into the transform to float32: where a band is quiet that is more
/// than nothing, so with an emphasis it is rounded here as there.
class log_mel {
 public:
  explicit log_mel(const log_mel_settings& how) : how_(how) {
    constexpr double pi = std::numbers::pi;
    for (std::size_t i = 0; i < how.window; ++i) {
      const auto at = static_cast<double>(i), all = static_cast<double>(how.window);
      const double cos =
          how.emphasis == 0
              ? std::cos(2 * pi * at / all)
              : static_cast<double>(float_cosine(static_cast<float>(rounded(rounded(2 * pi) * at) / all)));
      window_.push_back(static_cast<float>(0.5 - 0.5 * cos));
    }
    for (std::size_t i = 0; i < how.fft / 2; ++i) {
      const double angle = -2 * pi * static_cast<double>(i) / static_cast<double>(how.fft);
      turns_.emplace_back(std::cos(angle), std::sin(angle));
    }
    make_filters();
  }

  /// How many frames a sound of n samples has.
  [[nodiscard]] std::size_t frames(std::size_t n) const {
    const std::size_t filled = (n + how_.multiple - 1) / how_.multiple * how_.multiple + how_.before;
    return n == 0 || filled <= how_.window ? 0 : (filled - how_.window - 1) / how_.step + 1;
  }

  /// The features of a sound, [frames, bins].
  [[nodiscard]] std::vector<float> of(std::span<const float> samples) const {
    const std::size_t count = frames(samples.size());
    const auto sample = [&](std::size_t at) {  // of the sound with its noughts before it
      const bool inside = at >= how_.before && at - how_.before < samples.size();
      return inside ? static_cast<double>(samples[at - how_.before]) : 0.0;
    };
    std::vector<float> y(count * how_.bins);
    std::vector<std::complex<double>> x(how_.fft);
    std::vector<double> magnitude(how_.fft / 2 + 1);
    for (std::size_t t = 0; t < count; ++t) {
      std::fill(x.begin(), x.end(), 0.0);
      double last = 0;
      for (std::size_t i = 0; i < how_.window; ++i) {
        const double here = sample(t * how_.step + i), height = static_cast<double>(window_[i]);
        if (how_.emphasis == 0) {
          x[i] = here * height;
        } else {
          const double more = i == 0 ? rounded(rounded(1 - how_.emphasis) * here)
                                     : rounded(here - rounded(rounded(how_.emphasis) * last));
          x[i] = rounded(more * height);
        }
        last = here;
      }
      transform(x);
      for (std::size_t k = 0; k < magnitude.size(); ++k) magnitude[k] = std::sqrt(std::norm(x[k]));
      for (std::size_t b = 0; b < how_.bins; ++b) {
        double sum = 0;
        const auto [from, to] = reach_[b];
        for (std::size_t k = from; k < to; ++k) sum += magnitude[k] * filters_[k * how_.bins + b];
        y[t * how_.bins + b] = static_cast<float>(std::log(std::max(sum, how_.least) + how_.floor));
      }
    }
    return y;
  }

  [[nodiscard]] const std::vector<float>& window() const { return window_; }     ///< [window]
  [[nodiscard]] const std::vector<double>& filters() const { return filters_; }  ///< [fft/2 + 1, bins]

 private:
  static double rounded(double x) { return static_cast<double>(static_cast<float>(x)); }
  static double mel(double hz) { return 2595 * std::log10(1 + hz / 700); }
  static double hz(double mel) { return 700 * (std::pow(10.0, mel / 2595) - 1); }

  void make_filters() {
    const std::size_t lines = how_.fft / 2 + 1;
    std::vector<double> corner(how_.bins + 2);
    const double low = mel(how_.least_hz), high = mel(how_.most_hz);
    for (std::size_t b = 0; b < corner.size(); ++b) {
      corner[b] = hz(low + (high - low) * static_cast<double>(b) / static_cast<double>(corner.size() - 1));
    }
    filters_.assign(lines * how_.bins, 0.0);
    reach_.assign(how_.bins, {lines, 0});
    for (std::size_t b = 0; b < how_.bins; ++b) {
      for (std::size_t k = 0; k < lines; ++k) {
        const double f = static_cast<double>(k) * how_.rate / static_cast<double>(how_.fft);
        const double rising = (f - corner[b]) / (corner[b + 1] - corner[b]);
        const double falling = (corner[b + 2] - f) / (corner[b + 2] - corner[b + 1]);
        const double height = std::max(0.0, std::min(rising, falling));
        if (height == 0) continue;
        filters_[k * how_.bins + b] = height;
        reach_[b] = {std::min(reach_[b].first, k), k + 1};
      }
    }
  }

  /// The discrete Fourier transform in place: halves of halves, put in order first.
  void transform(std::vector<std::complex<double>>& x) const {
    const std::size_t n = x.size();
    for (std::size_t i = 1, j = 0; i < n; ++i) {
      std::size_t bit = n / 2;
      for (; (j & bit) != 0; bit /= 2) j ^= bit;
      j ^= bit;
      if (i < j) std::swap(x[i], x[j]);
    }
    for (std::size_t half = 1; half < n; half *= 2) {
      for (std::size_t start = 0; start < n; start += 2 * half) {
        for (std::size_t i = 0; i < half; ++i) {
          const std::complex<double> w = turns_[i * (n / 2 / half)], a = x[start + i], b = x[start + i + half];
          // Written out: the library's product looks for infinities.
          const std::complex<double> turned(b.real() * w.real() - b.imag() * w.imag(),
                                            b.real() * w.imag() + b.imag() * w.real());
          x[start + i] = a + turned;
          x[start + i + half] = a - turned;
        }
      }
    }
  }

  log_mel_settings how_;
  std::vector<float> window_;
  std::vector<std::complex<double>> turns_;
  std::vector<double> filters_;
  std::vector<std::pair<std::size_t, std::size_t>> reach_;  ///< the lines from … to which each filter hears
};

}  // namespace g4::media
