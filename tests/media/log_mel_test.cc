// Samples as log-mel features.
#include "g4/media/log_mel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

namespace g4::media {
namespace {

std::vector<float> tone(double hz, std::size_t n, double height = 0.5) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = static_cast<float>(height * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / 16'000));
  }
  return x;
}

TEST(log_mel, as_many_frames_as_the_reference) {
  const log_mel mel({});
  EXPECT_EQ(mel.frames(0), 0u);
  EXPECT_EQ(mel.frames(160), 0u);
  EXPECT_EQ(mel.frames(161), 1u);
  EXPECT_EQ(mel.frames(320), 1u);
  EXPECT_EQ(mel.frames(321), 2u);
  EXPECT_EQ(mel.frames(16'000), 99u);
  EXPECT_EQ(mel.frames(480'000), 2999u);
  EXPECT_EQ(mel.of(tone(440, 1000)).size(), 6u * 128);
}

TEST(log_mel, is_what_its_equations_say) {
  const log_mel_settings how{.bins = 9, .window = 20, .step = 8, .fft = 32, .rate = 16'000};
  const log_mel mel(how);
  const std::vector<float> x = tone(2'345, 75);
  const std::vector<float> y = mel.of(x);
  ASSERT_EQ(y.size(), mel.frames(75) * 9);
  for (std::size_t t = 0; t < mel.frames(75); ++t) {
    std::vector<double> lines;
    for (std::size_t k = 0; k <= 16; ++k) {
      std::complex<double> sum = 0;
      for (std::size_t i = 0; i < 20; ++i) {
        const double at = t * 8 + i < 10 ? 0.0 : static_cast<double>(x[t * 8 + i - 10]);
        const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / 20);
        sum += at * hann * std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(i * k) / 32);
      }
      lines.push_back(std::abs(sum));
    }
    for (std::size_t b = 0; b < 9; ++b) {
      double band = 0;
      for (std::size_t k = 0; k <= 16; ++k) band += lines[k] * mel.filters()[k * 9 + b];
      EXPECT_NEAR(y[t * 9 + b], std::log(band + 0.001), 1e-5) << "frame " << t << ", band " << b;
    }
  }
}

TEST(log_mel, hears_a_tone_where_it_is) {
  const log_mel mel({});
  for (const double hz : {300.0, 1'000.0, 4'000.0}) {
    const std::vector<float> y = mel.of(tone(hz, 3'200));
    std::size_t loudest = 0;
    for (std::size_t b = 1; b < 128; ++b) {
      if (y[5 * 128 + b] > y[5 * 128 + loudest]) loudest = b;
    }
    std::size_t k = static_cast<std::size_t>(std::lround(hz * 512 / 16'000)), expected = 0;
    for (std::size_t b = 1; b < 128; ++b) {
      if (mel.filters()[k * 128 + b] > mel.filters()[k * 128 + expected]) expected = b;
    }
    EXPECT_NEAR(static_cast<double>(loudest), static_cast<double>(expected), 1.0) << hz;
  }
}

TEST(log_mel, of_silence_is_the_floor) {
  const log_mel mel({});
  for (const float v : mel.of(std::vector<float>(2'000))) EXPECT_FLOAT_EQ(v, std::log(0.001f));
}

TEST(log_mel, filters_stand_side_by_side) {
  const log_mel mel({});
  std::vector<double> sums(128);
  for (std::size_t k = 0; k <= 256; ++k) {
    double at_line = 0;
    for (std::size_t b = 0; b < 128; ++b) {
      const double height = mel.filters()[k * 128 + b];
      EXPECT_GE(height, 0.0);
      EXPECT_LE(height, 1.0);
      sums[b] += height;
      at_line += height;
    }
    EXPECT_LE(at_line, 1.0 + 1e-12);  // two neighbours share a line
  }
  EXPECT_EQ(sums[0], 0.0);  // too narrow for any line, in the reference too
  EXPECT_GT(sums[127], 0.0);
}

/// As Gemma 3n hears.
const log_mel_settings emphasised = settings_of(stage::log_mel{128, 512, 160, true}, stage::waveform{16'000});

TEST(emphasised_log_mel, as_many_frames_as_the_reference) {
  const log_mel mel(emphasised);
  EXPECT_EQ(mel.frames(0), 0u);
  EXPECT_EQ(mel.frames(512), 0u);
  EXPECT_EQ(mel.frames(513), 1u);  // filled up to 640 samples
  EXPECT_EQ(mel.frames(641), 2u);
  EXPECT_EQ(mel.frames(16'000), 97u);
  EXPECT_EQ(mel.frames(480'000), 2997u);
}

TEST(emphasised_log_mel, is_what_its_equations_say) {
  log_mel_settings how{.bins = 9,
                       .window = 20,
                       .step = 8,
                       .fft = 64,
                       .rate = 16'000,
                       .least_hz = 125,
                       .most_hz = 7'600,
                       .floor = 0,
                       .least = 1e-5,
                       .emphasis = 0.97,
                       .before = 0,
                       .multiple = 16};
  const log_mel mel(how);
  const std::vector<float> x = tone(2'345, 75);  // 80 with what it is filled up with
  const std::vector<float> y = mel.of(x);
  ASSERT_EQ(y.size(), 8u * 9);
  for (std::size_t t = 0; t < 8; ++t) {
    const auto sample = [&](std::size_t i) { return t * 8 + i < 75 ? static_cast<double>(x[t * 8 + i]) : 0.0; };
    std::vector<double> lines;
    for (std::size_t k = 0; k <= 32; ++k) {
      std::complex<double> sum = 0;
      for (std::size_t i = 0; i < 20; ++i) {
        const double more = i == 0 ? sample(0) * (1 - 0.97) : sample(i) - 0.97 * sample(i - 1);
        const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / 20);
        sum += more * hann * std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(i * k) / 64);
      }
      lines.push_back(std::abs(sum));
    }
    for (std::size_t b = 0; b < 9; ++b) {
      double band = 0;
      for (std::size_t k = 0; k <= 32; ++k) band += lines[k] * mel.filters()[k * 9 + b];
      EXPECT_NEAR(y[t * 9 + b], std::log(std::max(band, 1e-5)), 2e-4) << "frame " << t << ", band " << b;
    }
  }
}

TEST(emphasised_log_mel, of_silence_is_the_least) {
  for (const float v : log_mel(emphasised).of(std::vector<float>(2'000))) EXPECT_FLOAT_EQ(v, std::log(1e-5f));
}

TEST(float_cosine, is_within_two_units_of_the_last_place) {
  for (int i = -2'000; i <= 2'000; ++i) {
    const float angle = static_cast<float>(i) * 0.005f;
    EXPECT_NEAR(static_cast<double>(float_cosine(angle)), std::cos(static_cast<double>(angle)), 0x1p-23) << angle;
  }
}

TEST(log_mel, of_a_towers_stages) {
  const log_mel_settings how = settings_of(stage::log_mel{64}, stage::waveform{16'000});
  EXPECT_EQ(how.bins, 64u);
  EXPECT_EQ(how.window, 320u);
  EXPECT_EQ(how.step, 160u);
  EXPECT_EQ(how.fft, 512u);
  EXPECT_EQ(how.most_hz, 8'000);
  EXPECT_EQ(how.before, 160u);
  EXPECT_EQ(emphasised.fft, 1024u);
  EXPECT_EQ(emphasised.least_hz, 125);
}

}  // namespace
}  // namespace g4::media
