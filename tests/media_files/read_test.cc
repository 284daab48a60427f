// Pictures and sounds from files: what Pillow and librosa read of them, and a sentence for each that is broken.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "examples/media/read_picture.h"
#include "examples/media/read_sound.h"

// libsndfile forgets what it took where the head of an Ogg file is damaged; a test of ours is not to fail for it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:vorbis_info_init\nleak:vorbis_comment_init\n"; }

namespace media_files {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path data = fs::path(G4_SOURCE_DIR) / "tests/media_files/data";

std::string bytes_of(const std::string& file) {
  std::ifstream in(data / file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
std::span<const std::byte> view(const std::string& bytes) { return std::as_bytes(std::span(bytes)); }

const json& expected() {
  static const json read = json::parse(bytes_of("expected.json"));
  return read;
}

std::string hex(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const std::uint8_t b : bytes) {
    text += "0123456789abcdef"[b >> 4];
    text += "0123456789abcdef"[b & 15];
  }
  return text;
}

TEST(read_picture, as_pillow_does) {
  for (const json& e : expected().at("pictures")) {
    const std::string file = e.at("file");
    const auto seen = read_picture((data / file).string());
    ASSERT_TRUE(seen) << seen.error().message;
    EXPECT_EQ(seen->height, e.at("height").get<std::size_t>()) << file;
    EXPECT_EQ(seen->width, e.at("width").get<std::size_t>()) << file;
    EXPECT_EQ(hex(seen->rgb), e.at("rgb").get<std::string>()) << file;
  }
}

TEST(read_sound, as_librosa_does) {
  for (const json& e : expected().at("sounds")) {
    const std::string file = e.at("file");
    const auto heard = read_sound((data / file).string());
    ASSERT_TRUE(heard) << heard.error().message;
    const auto samples = e.at("samples").get<std::vector<float>>();
    ASSERT_EQ(heard->samples.size(), samples.size()) << file;
    double furthest = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      furthest = std::max(furthest, std::abs(double{samples[i]} - double{heard->samples[i]}));
    }
    // Two builds of soxr and of the decoders round apart in the last bits of a float.
    EXPECT_LT(furthest, 2e-6) << file;
  }
}

TEST(read_picture, names_what_is_wrong) {
  const auto why = [](const std::string& bytes, const picture_limits& limits = {}) {
    const auto seen = read_picture(view(bytes), "it.png", limits);
    return seen ? std::string("it is read") : seen.error().message;
  };
  EXPECT_EQ(why("hello"), "it.png: is no picture; expected PNG, JPEG, WebP or PPM");
  EXPECT_EQ(why(""), "it.png: is no picture; expected PNG, JPEG, WebP or PPM");
  EXPECT_EQ(why(bytes_of("rgb.png"), {.pixels = 100}),
            "it.png: has 9 x 13 pixels; expected at least one and at most 100");
  EXPECT_EQ(why(bytes_of("444.jpg"), {.pixels = 100}),
            "it.png: has 27 x 35 pixels; expected at least one and at most 100");
  EXPECT_EQ(why("P6 100000 100000 255\n"),
            "it.png: has 100000 x 100000 pixels; expected at least one and at most 134217728");
  EXPECT_EQ(why("P6 4 4 255\nabc"), "it.png: is cut short: its 4 x 4 pixels are not all there");
  EXPECT_EQ(why(bytes_of("rgb.png").substr(0, 120)), "it.png: is no whole PNG: it is cut short");
  const auto missing = read_picture((data / "none.png").string());
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("none.png"), std::string::npos);

  // A few bytes that say they are 16384 x 8192 pixels of four 16-bit numbers: a gigabyte.
  std::string bomb = bytes_of("rgba16.png");
  bomb.replace(16, 8, std::string("\0\0\x40\0\0\0\x20\0", 8));
  bomb.replace(29, 4, std::string("\xa3\x2c\x40\x2f", 4));
  EXPECT_EQ(why(bomb).find("it.png: is "), 0u) << why(bomb);
}

TEST(read_sound, names_what_is_wrong) {
  const auto why = [](const std::string& bytes, const sound_limits& limits = {}) {
    const auto heard = read_sound(view(bytes), "it.wav", 16'000, limits);
    return heard ? std::string("it is read") : heard.error().message;
  };
  EXPECT_EQ(why("hello, this is no sound"), "it.wav: is no sound; expected WAV, FLAC, MP3 or Ogg");
  EXPECT_EQ(why(bytes_of("rgb.png")), "it.wav: is no sound; expected WAV, FLAC, MP3 or Ogg");
  const std::string wav = bytes_of("44k_stereo.wav");
  EXPECT_EQ(why(wav.substr(0, 2044)), "it.wav: is cut short: it says 5292 bytes of samples and has 2000");
  EXPECT_EQ(why(wav, {.samples = 100}), "it.wav: is longer than can be read: more than 100 samples of 2 channels");
  EXPECT_EQ(why(wav, {.channels = 1}), "it.wav: has 2 channels; expected 1 to 1");
  std::string empty = wav.substr(0, 44);
  empty.replace(40, 4, 4, '\0');
  EXPECT_EQ(why(empty), "it.wav: is empty: there is nothing to hear");
  std::string slow = wav;
  slow.replace(24, 4, std::string("\1\0\0\0", 4));
  EXPECT_EQ(why(slow), "it.wav: has 1 samples a second; expected 1000 to 768000");
  std::string nan = bytes_of("48k_float_3.wav");
  nan.replace(nan.size() - 16, 4, 4, '\xff');
  EXPECT_EQ(why(nan), "it.wav: holds a sample that is no number, or beyond any sound");
  // A header written before its end was known, as by a pipe.
  std::string piped = wav;
  piped.replace(40, 4, 4, '\xff');
  EXPECT_EQ(why(piped), "it is read");
}

/// Breaks files, the same way each time: what makes a file unreadable, or anything at all.
class breaker {
 public:
  std::string cut(const std::string& whole) { return whole.substr(0, below(whole.size() * 3 / 5)); }
  std::string noise_behind(const std::string& whole, std::size_t kept) {
    std::string broken = whole.substr(0, kept);
    while (broken.size() < whole.size()) broken += static_cast<char>(below(256));
    return broken;
  }
  std::string flipped(std::string whole) {
    for (std::size_t n = 1 + below(8); n > 0; --n) whole[below(whole.size())] ^= static_cast<char>(1u << below(8));
    if (below(3) == 0) whole.resize(below(whole.size() + 1));
    return whole;
  }

 private:
  std::size_t below(std::size_t n) { return draw_() % std::max<std::size_t>(n, 1); }
  std::mt19937 draw_{20'241};
};

/// A sentence: it names the file, says something, and stands on one line.
void expect_sentence(const std::string& said, std::size_t which) {
  EXPECT_EQ(said.find("broken: "), 0u) << which << ": " << said;
  EXPECT_GT(said.size(), 12u) << which;
  EXPECT_EQ(said.find('\n'), std::string::npos) << which << ": " << said;
}

TEST(broken_files, each_of_200_has_its_sentence) {
  breaker make;
  const json& pictures = expected().at("pictures");
  const json& sounds = expected().at("sounds");
  for (std::size_t i = 0; i < 200; ++i) {
    if (i % 5 < 3) {
      const std::string file = pictures[i % pictures.size()].at("file");
      const auto seen = read_picture(view(make.cut(bytes_of(file))), "broken");
      if (seen) ADD_FAILURE() << i << ": a part of " << file << " is read as a picture";
      if (!seen) expect_sentence(seen.error().message, i);
    } else {
      const std::string file = sounds[i % sounds.size()].at("file");
      // An MP3 or Ogg that ends early is a shorter one: those are made unreadable.
      const bool has_no_end = file.ends_with(".mp3") || file.ends_with(".ogg");
      const std::string broken = has_no_end ? make.noise_behind(bytes_of(file), i % 64) : make.cut(bytes_of(file));
      const auto heard = read_sound(view(broken), "broken");
      if (heard) ADD_FAILURE() << i << ": a part of " << file << " is read as a sound";
      if (!heard) expect_sentence(heard.error().message, i);
    }
  }
}

TEST(broken_files, flipped_bits_are_read_or_have_their_sentence) {
  breaker make;
  std::size_t refused = 0;
  for (int round = 0; round < 10; ++round) {
    for (const json& e : expected().at("pictures")) {
      const auto seen = read_picture(view(make.flipped(bytes_of(e.at("file")))), "broken", {.pixels = 1u << 20});
      if (!seen) {
        expect_sentence(seen.error().message, ++refused);
      } else {
        EXPECT_TRUE(seen->view().is_whole());
      }
    }
    for (const json& e : expected().at("sounds")) {
      const auto heard =
          read_sound(view(make.flipped(bytes_of(e.at("file")))), "broken", 16'000, {.samples = 1u << 20});
      if (!heard) {
        expect_sentence(heard.error().message, ++refused);
      } else {
        EXPECT_TRUE(
            std::all_of(heard->samples.begin(), heard->samples.end(), [](float x) { return std::isfinite(x); }));
      }
    }
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace media_files
