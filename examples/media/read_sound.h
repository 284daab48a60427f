// Sounds from files, as samples: WAV, FLAC, MP3 and Ogg (Vorbis, Opus, FLAC), by libsndfile and libsoxr.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "g4/core/result.h"
#include "g4/media/sound.h"

namespace media_files {

/// A sound that owns its samples: one channel, in −1 … 1.
struct clip {
  std::vector<float> samples;
  std::size_t rate = 16'000;  ///< samples a second

  [[nodiscard]] g4::media::sound view() const { return {samples, rate}; }
  [[nodiscard]] double seconds() const { return static_cast<double>(samples.size()) / static_cast<double>(rate); }
};

/// What is not read for being absurd.
struct sound_limits {
  std::size_t samples = std::size_t{1} << 25;  ///< of all channels together: 11 minutes of two at 48 kHz
  std::size_t channels = 32;
};

/// A sound file as one channel at `rate`: the mean of its channels, resampled.
///
///     as librosa.load(path, sr=rate): mono = mean over channels, soxr's HQ, ⌈n · rate / rate of the file⌉ samples
///
/// bytes   a whole file, of any of the formats; `name` is what a sentence calls it
/// Fails, naming the file, where it is no such sound, is empty, cut short or damaged, or is longer than the limits allow.
/// An MP3 or Ogg file that ends early cannot be told from a shorter one, and is one.
[[nodiscard]] g4::result<clip> read_sound(std::span<const std::byte> bytes, const std::string& name,
                                          std::size_t rate = 16'000, const sound_limits& limits = {});
[[nodiscard]] g4::result<clip> read_sound(const std::string& path, std::size_t rate = 16'000,
                                          const sound_limits& limits = {});

}  // namespace media_files
