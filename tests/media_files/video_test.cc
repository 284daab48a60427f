// Videos as frames: folders of pictures, and files that ffmpeg reads where it is installed.
#include "read_video.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/own_path.h"

namespace {

namespace fs = std::filesystem;
using media_files::open_video;

constexpr std::size_t height = 16, width = 24;

std::vector<std::uint8_t> picture(std::size_t frame) {
  std::vector<std::uint8_t> rgb(height * width * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 3 + frame * 5);
  return rgb;
}

/// A folder with so many frames as PPM files, and something that is no frame.
class folder {
 public:
  explicit folder(std::size_t frames) : path_(g4::test::own_path("g4_video")) {
    fs::remove_all(path_);
    fs::create_directories(path_ / "frames");
    std::ofstream(path_ / "frames/notes.txt") << "no frame";
    for (std::size_t i = 0; i < frames; ++i) {
      std::ofstream out(path_ / "frames" / ("frame_" + std::to_string(i) + ".ppm"), std::ios::binary);
      const auto rgb = picture(i);
      out << "P6\n" << width << " " << height << "\n255\n";
      out.write(reinterpret_cast<const char*>(rgb.data()), static_cast<std::streamsize>(rgb.size()));
    }
  }
  ~folder() { fs::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  [[nodiscard]] std::string frames() const { return (path_ / "frames").string(); }
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

bool has_ffmpeg() { return std::system("ffmpeg -version > /dev/null 2>&1 && ffprobe -version > /dev/null 2>&1") == 0; }

std::string why(const auto& outcome) { return outcome ? std::string() : outcome.error().message; }

/// All frames that are looked at are those of `picture`, at ⌊i·total / n⌋.
void expect_frames(const std::string& path, std::size_t total, double per_second, double folder_rate = 24) {
  auto video = open_video(path, folder_rate);
  ASSERT_TRUE(video) << why(video);
  EXPECT_EQ(video->frames(), total);
  EXPECT_DOUBLE_EQ(video->per_second(), per_second);
  const std::size_t n = std::min<std::size_t>(total, 32);
  EXPECT_EQ(video->looked_at(), n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto frame = video->next();
    ASSERT_TRUE(frame && frame->has_value()) << why(frame);
    const std::size_t at = i * total / n;
    EXPECT_EQ((*frame)->picture.height, height);
    EXPECT_TRUE((*frame)->picture.rgb == picture(at)) << "frame " << at;
    EXPECT_DOUBLE_EQ((*frame)->seconds, static_cast<double>(at) / per_second);
  }
  const auto end = video->next();
  EXPECT_TRUE(end && !end->has_value());
}

TEST(video, a_folder_in_the_order_of_its_names) {
  const folder few(3);
  expect_frames(few.frames(), 3, 8, 8);
  const folder many(70);  // frame_10 stands behind frame_9
  expect_frames(many.frames(), 70, 24);
}

TEST(video, a_file_is_the_frames_it_was_made_of) {
  if (!has_ffmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const std::size_t frames : {std::size_t{3}, std::size_t{70}}) {
    const folder in(frames);
    // A name that a shell, or ffmpeg, would take for something else.
    const std::string path = in.file("-a: 'b' $(c).mkv");
    const std::string made = "ffmpeg -v error -framerate 30000/1001 -i '" + in.frames() +
                             "/frame_%d.ppm' -c:v ffv1 -pix_fmt bgr0 '" + in.file("x.mkv") + "'";
    ASSERT_EQ(std::system(made.c_str()), 0);
    fs::rename(in.file("x.mkv"), path);
    expect_frames(path, frames, 30000.0 / 1001.0);
  }
}

TEST(video, refusals) {
  const folder in(0);
  EXPECT_TRUE(
      why(open_video(in.frames())).ends_with("frames: holds no frames; expected pictures in PNG, JPEG, WebP or PPM"));
  EXPECT_NE(why(open_video(in.file("none.mp4"))).find("none.mp4"), std::string::npos);
  std::ofstream(in.file("text.mp4")) << "this is no video";
  const std::string no_video = why(open_video(in.file("text.mp4")));
  EXPECT_NE(no_video.find(has_ffmpeg() ? "text.mp4: is no video that ffmpeg reads" : "is not installed"),
            std::string::npos)
      << no_video;
  const folder rate(2);
  EXPECT_NE(why(open_video(rate.frames(), 0)).find("need a time between two"), std::string::npos);
  std::ofstream(rate.frames() + "/frame_1.ppm") << "P6\n24 16\n255\n";
  auto broken = open_video(rate.frames());
  ASSERT_TRUE(broken);
  EXPECT_TRUE(broken->next());
  EXPECT_NE(why(broken->next()).find("frame_1.ppm: is cut short"), std::string::npos);
  auto large = open_video(rate.frames(), 24, {.pixels = 100});
  ASSERT_TRUE(large);
  EXPECT_NE(why(large->next()).find("at most 100"), std::string::npos);
}

TEST(video, without_ffmpeg_a_file_is_refused_and_a_folder_is_not) {
  const folder in(2);
  std::ofstream(in.file("clip.mp4")) << "whatever";
  const char* const path = std::getenv("PATH");
  const std::string before = path == nullptr ? "" : path;
  ::setenv("PATH", "/nowhere", 1);
  const std::string refused = why(open_video(in.file("clip.mp4")));
  const bool opened = open_video(in.frames()).has_value();
  ::setenv("PATH", before.c_str(), 1);
  EXPECT_TRUE(
      refused.ends_with("clip.mp4: is no folder of pictures, and ffmpeg, which reads other videos, is not installed"))
      << refused;
  EXPECT_TRUE(opened);
}

// A truncated file gives what is whole of it, or a sentence; never a hang.
TEST(video, files_cut_anywhere) {
  if (!has_ffmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const folder in(12);
  const std::string path = in.file("x.mkv");
  ASSERT_EQ(std::system(("ffmpeg -v error -i '" + in.frames() + "/frame_%d.ppm' -c:v ffv1 '" + path + "'").c_str()), 0);
  const auto size = fs::file_size(path);
  for (const auto part : {size * 9 / 10, size / 3, size / 20}) {
    fs::resize_file(path, part);
    auto video = open_video(path);
    if (!video) {
      EXPECT_NE(why(video).find("x.mkv: "), std::string::npos);
      continue;
    }
    for (int i = 0; i < 33; ++i) {
      const auto frame = video->next();
      EXPECT_TRUE(frame || why(frame).find("x.mkv: ") != std::string::npos) << why(frame);
      if (!frame || !frame->has_value()) break;
    }
  }
}

}  // namespace
