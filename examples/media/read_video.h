// Videos as frames: a folder of pictures, or whatever ffmpeg reads where it is installed.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "g4/core/result.h"
#include "g4/media/picture.h"
#include "read_picture.h"

namespace media_files {

/// The frames of a video that are looked at, one after the other.
class video {
 public:
  video(video&&) noexcept;
  video& operator=(video&&) noexcept;
  ~video();

  [[nodiscard]] std::size_t frames() const { return frames_; }  ///< in all
  [[nodiscard]] std::size_t looked_at() const { return chosen_.size(); }
  [[nodiscard]] double per_second() const { return per_second_; }

  /// The next of them; nothing where there are no more. Of a file that ends before its last frame those are fewer.
  /// Fails, naming the file, where a frame cannot be read.
  [[nodiscard]] g4::result<std::optional<g4::media::frame>> next();

 private:
  friend g4::result<video> open_video(const std::string& path, double folder_rate, const picture_limits& limits);
  class decoder;
  video();

  [[nodiscard]] g4::result<std::optional<g4::media::pixels>> decoded();

  std::string path_;
  picture_limits limits_;
  std::vector<std::string> files_;  ///< of a folder, in the order of their names
  std::vector<std::size_t> chosen_;
  std::size_t frames_ = 0;
  std::size_t next_ = 0;
  double per_second_ = 0;
  std::unique_ptr<decoder> decoder_;
};

/// Opens a video and chooses the frames that Gemma 4 looks at, at most 32 evenly apart (`text/placeholders.h`).
///
/// path          a folder of pictures, whose names give their order; or a file, which `ffmpeg` and `ffprobe` read
/// folder_rate   pictures of a folder a second
/// Fails, naming the path, where there is no such thing, a folder holds no picture, a file has no video, or ffmpeg is not
/// installed.
[[nodiscard]] g4::result<video> open_video(const std::string& path, double folder_rate = 24,
                                           const picture_limits& limits = {});

}  // namespace media_files
