#include "read_sound.h"

#include <sndfile.h>
#include <soxr.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "g4/core/guarded.h"
#include "g4/io/mapped_file.h"

namespace media_files {

namespace {

constexpr std::size_t least_rate = 1'000, most_rate = 768'000;
constexpr float loudest = 1e6f;  // whole numbers that somebody forgot to divide are still heard

/// A file in memory, as libsndfile reads one.
struct memory_file {
  std::span<const std::byte> bytes;
  sf_count_t at = 0;

  [[nodiscard]] static SF_VIRTUAL_IO calls() {
    SF_VIRTUAL_IO io{};
    io.get_filelen = [](void* self) { return static_cast<memory_file*>(self)->size(); };
    io.tell = [](void* self) { return static_cast<memory_file*>(self)->at; };
    io.seek = [](sf_count_t offset, int whence, void* self) {
      auto* const file = static_cast<memory_file*>(self);
      const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file->at : file->size();
      if (offset < -from || offset > file->size() - from) return sf_count_t{-1};
      return file->at = from + offset;
    };
    io.read = [](void* to, sf_count_t count, void* self) {
      auto* const file = static_cast<memory_file*>(self);
      count = std::clamp<sf_count_t>(count, 0, file->size() - file->at);
      if (count > 0) std::memcpy(to, file->bytes.data() + file->at, static_cast<std::size_t>(count));
      file->at += count;
      return count;
    };
    io.write = [](const void*, sf_count_t, void*) { return sf_count_t{0}; };
    return io;
  }
  [[nodiscard]] sf_count_t size() const { return static_cast<sf_count_t>(bytes.size()); }
};

/// Only what begins like a format of ours goes to the library, which knows many more.
bool is_sound(std::string_view text) {
  if (text.size() < 12) return false;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const bool mpeg = byte(0) == 0xff && (byte(1) & 0xe0) == 0xe0;
  return (text.starts_with("RIFF") && text.substr(8, 4) == "WAVE") || text.starts_with("fLaC") ||
         text.starts_with("OggS") || text.starts_with("ID3") || mpeg;
}

/// Refuses a WAV file whose samples end before its header says. A header written before the end was known says nothing.
g4::result<void> check_wav(std::string_view text) {
  if (!text.starts_with("RIFF")) return {};
  const auto number = [&](std::size_t at) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= std::size_t{static_cast<unsigned char>(text[at + i])} << (8 * i);
    return value;
  };
  for (std::size_t at = 12; text.size() - at >= 8;) {
    const std::size_t size = number(at + 4), left = text.size() - at - 8;
    if (text.substr(at, 4) == "data") {
      constexpr std::size_t unknown = 0x7fff'0000;
      if (size > left && size < unknown)
        return g4::fail("is cut short: it says ", size, " bytes of samples and has ", left);
      return {};
    }
    if (size >= left) break;
    at += 8 + std::min(size + size % 2, left);
  }
  return {};
}

/// One channel at another rate.
g4::result<std::vector<float>> resampled(std::vector<float> from, std::size_t old_rate, std::size_t rate) {
  if (old_rate == rate) return from;
  const auto wanted = static_cast<std::size_t>(
      std::ceil(static_cast<double>(from.size()) * (static_cast<double>(rate) / static_cast<double>(old_rate))));
  std::vector<float> to(wanted + 16);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  std::size_t made = 0;
  const soxr_error_t wrong =
      soxr_oneshot(static_cast<double>(old_rate), static_cast<double>(rate), 1, from.data(), from.size(), nullptr,
                   to.data(), to.size(), &made, nullptr, &quality, nullptr);
  if (wrong != nullptr) return g4::fail("cannot be resampled: ", wrong);
  to.resize(std::min(made, wanted));
  to.resize(wanted);  // filled up with noughts
  return to;
}

g4::result<clip> read(std::span<const std::byte> bytes, std::size_t rate, const sound_limits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_sound(text)) return g4::fail("is no sound; expected WAV, FLAC, MP3 or Ogg");
  if (auto whole = check_wav(text); !whole) return g4::unexpected(std::move(whole.error()));
  memory_file file{bytes};
  SF_VIRTUAL_IO calls = memory_file::calls();
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> in(sf_open_virtual(&calls, SFM_READ, &info, &file), sf_close);
  if (in == nullptr) return g4::fail("is no sound that can be read: ", sf_strerror(nullptr));
  const auto old_rate = static_cast<std::size_t>(std::max(info.samplerate, 0));
  const auto channels = static_cast<std::size_t>(std::max(info.channels, 0));
  if (channels == 0 || channels > limits.channels)
    return g4::fail("has ", channels, " channels; expected 1 to ", limits.channels);
  if (old_rate < least_rate || old_rate > most_rate)
    return g4::fail("has ", old_rate, " samples a second; expected ", least_rate, " to ", most_rate);

  // What the header says of the length is a guess: only what was read counts.
  std::vector<float> mono;
  constexpr std::size_t block_frames = 4096;
  std::vector<float> block(block_frames * channels);
  for (;;) {
    const sf_count_t got = sf_readf_float(in.get(), block.data(), block_frames);
    if (got <= 0) break;
    const auto frames = static_cast<std::size_t>(std::min<sf_count_t>(got, block_frames));
    if ((mono.size() + frames) * channels > limits.samples)
      return g4::fail("is longer than can be read: more than ", limits.samples, " samples of ", channels, " channels");
    for (std::size_t i = 0; i < frames; ++i) {
      float sum = 0;
      for (std::size_t c = 0; c < channels; ++c) sum += block[i * channels + c];
      const float mean = sum / static_cast<float>(channels);
      if (!std::isfinite(mean) || std::abs(mean) > loudest)
        return g4::fail("holds a sample that is no number, or beyond any sound");
      mono.push_back(mean);
    }
  }
  if (sf_error(in.get()) != SF_ERR_NO_ERROR) return g4::fail("is damaged: ", sf_strerror(in.get()));
  if (mono.empty()) return g4::fail("is empty: there is nothing to hear");
  const bool says_its_length = text.starts_with("fLaC");
  if (says_its_length && info.frames > 0 && static_cast<sf_count_t>(mono.size()) < info.frames)
    return g4::fail("is cut short: it says ", static_cast<std::size_t>(info.frames), " samples and has ", mono.size());
  if (rate > old_rate && mono.size() > limits.samples / (rate / old_rate + 1))
    return g4::fail("is longer than can be read at ", rate, " samples a second");
  auto samples = resampled(std::move(mono), old_rate, rate);
  if (!samples) return g4::unexpected(std::move(samples.error()));
  return clip{std::move(*samples), rate};
}

}  // namespace

g4::result<clip> read_sound(std::span<const std::byte> bytes, const std::string& name, std::size_t rate,
                            const sound_limits& limits) {
  auto heard = g4::guarded([&] { return read(bytes, rate, limits); });
  if (!heard) return g4::fail_in(name, heard.error());
  return heard;
}

g4::result<clip> read_sound(const std::string& path, std::size_t rate, const sound_limits& limits) {
  const auto file = g4::io::mapped_file::open(path);
  if (!file) return g4::unexpected(file.error());
  return read_sound(file->bytes(), path, rate, limits);
}

}  // namespace media_files
