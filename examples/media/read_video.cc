#include "read_video.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include "g4/core/guarded.h"
#include "g4/io/mapped_file.h"
#include "g4/text/placeholders.h"
#include "picture_formats.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): posix_spawn's

namespace media_files {

namespace {

/// A program that writes to a pipe. It ends with this.
class running {
 public:
  running() = default;
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  ~running() {
    if (out_ >= 0) ::close(out_);
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    (void)wait();
  }

  /// Runs the program of that name; false where there is none. No shell sees the words.
  [[nodiscard]] bool start(std::vector<std::string> words, bool with_errors) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    if (with_errors) {
      posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    } else {
      posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    // What this program has taken for itself is not the other's: an interrupt ends it, and so does a reader that goes away.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int failed = ::posix_spawnp(&child_, pointers[0], &actions, &attributes, pointers.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    out_ = ends[0];
    if (failed != 0) child_ = -1;
    return failed == 0;
  }

  /// As many bytes as there are, up to so many.
  [[nodiscard]] std::size_t read(std::uint8_t* to, std::size_t most) const {
    std::size_t got = 0;
    while (got < most) {
      const ssize_t n = ::read(out_, to + got, most - got);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    return got;
  }
  /// Its exit status; 128 and more where it was ended.
  int wait() {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t child_ = -1;
  int out_ = -1;
};

/// What a program of ffmpeg is told of a file: it is one, whatever its name looks like, and it may name no others.
std::vector<std::string> reading(const char* program, const std::string& path) {
  return {program, "-v", "error", "-protocol_whitelist", "file", "-i", "file:" + path};
}

struct counted {
  std::size_t frames = 0;
  double per_second = 0;
};

template <class Number>
bool read_whole(std::string_view text, Number& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc{} && end == text.data() + text.size();
}

/// "30000/1001" and "250" on lines of `avg_frame_rate=` and `nb_read_packets=`.
std::optional<counted> counts_in(std::string_view text) {
  const auto behind = [&](std::string_view name) -> std::string_view {
    const std::size_t at = text.find(name);
    if (at == std::string_view::npos) return {};
    const std::string_view rest = text.substr(at + name.size());
    return rest.substr(0, rest.find_first_of("\r\n"));
  };
  counted out;
  std::size_t over = 0, under = 0;
  const std::string_view rate = behind("avg_frame_rate=");
  const std::size_t slash = rate.find('/');
  if (slash == std::string_view::npos || !read_whole(rate.substr(0, slash), over) ||
      !read_whole(rate.substr(slash + 1), under) || !read_whole(behind("nb_read_packets="), out.frames)) {
    return std::nullopt;
  }
  // Where a file does not say, the reference takes 24.
  out.per_second = over > 0 && under > 0 ? static_cast<double>(over) / static_cast<double>(under) : 24.0;
  return out.frames > 0 ? std::optional(out) : std::nullopt;
}

g4::result<counted> count(const std::string& path) {
  auto words = reading("ffprobe", path);
  const char* const asked[] = {"-select_streams",
                               "v:0",
                               "-count_packets",
                               "-show_entries",
                               "stream=avg_frame_rate,nb_read_packets",
                               "-of",
                               "default=noprint_wrappers=1"};
  words.insert(words.end(), std::begin(asked), std::end(asked));
  running probe;
  if (!probe.start(std::move(words), true)) {
    return g4::fail(path, ": is no folder of pictures, and ffmpeg, which reads other videos, is not installed");
  }
  std::string said(4096, '\0');
  said.resize(probe.read(reinterpret_cast<std::uint8_t*>(said.data()), said.size()));
  const int status = probe.wait();
  if (status == 127) {
    return g4::fail(path, ": is no folder of pictures, and ffmpeg, which reads other videos, is not installed");
  }
  const auto counts = counts_in(said);
  if (status == 0 && counts) return *counts;
  const std::string first = said.substr(0, said.find('\n'));
  return g4::fail(path, ": is no video that ffmpeg reads",
                  status != 0 && !first.empty() ? ": " + first : std::string());
}

bool is_picture_file(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  std::string ending(name.substr(dot + 1));
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array endings{"png", "jpg", "jpeg", "webp", "ppm", "pgm", "pnm"};
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

/// Names as a person orders them: frame_2 before frame_10.
bool before(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    while (i < a.size() && a[i] == '0') ++i;
    while (j < b.size() && b[j] == '0') ++j;
    std::size_t m = i, n = j;
    while (m < a.size() && digit(a[m])) ++m;
    while (n < b.size() && digit(b[n])) ++n;
    if (m - i != n - j) return m - i < n - j;
    if (const int order = a.compare(i, m - i, b, j, n - j); order != 0) return order < 0;
    i = m, j = n;
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;  // 01 and 1 alike: some order, always the same
}

g4::result<std::vector<std::string>> pictures_in(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(path.c_str()), [](DIR* d) { return ::closedir(d); });
  if (open == nullptr) return g4::fail(path, ": the folder cannot be read: ", std::strerror(errno));
  std::vector<std::string> names;
  while (const dirent* const entry = ::readdir(open.get())) {
    if (is_picture_file(entry->d_name)) names.emplace_back(entry->d_name);
  }
  if (names.empty()) return g4::fail(path, ": holds no frames; expected pictures in PNG, JPEG, WebP or PPM");
  std::sort(names.begin(), names.end(), before);
  for (std::string& name : names) name.insert(0, path + "/");
  return names;
}

}  // namespace

/// ffmpeg at work: the chosen frames as PPM, one behind the other.
class video::decoder {
 public:
  [[nodiscard]] bool start(const std::string& path, const std::vector<std::size_t>& chosen) {
    std::string select = "select=";
    for (const std::size_t frame : chosen) {
      select += (frame == chosen.front() ? "eq(n\\," : "+eq(n\\,") + std::to_string(frame) + ")";
    }
    auto words = reading("ffmpeg", path);
    // Times that follow each other frame by frame: none is left out or given twice, however far apart they were.
    const std::string filter = select + ",setpts=N/FRAME_RATE/TB";
    for (const std::string& word :
         {std::string("-map"), std::string("0:v:0"), std::string("-vf"), filter, std::string("-frames:v"),
          std::to_string(chosen.size()), std::string("-f"), std::string("image2pipe"), std::string("-c:v"),
          std::string("ppm"), std::string("-pix_fmt"), std::string("rgb24"), std::string("-")}) {
      words.push_back(word);
    }
    return program_.start(std::move(words), false);
  }

  /// Nothing where the file has ended.
  [[nodiscard]] g4::result<std::optional<g4::media::pixels>> next(const picture_limits& limits) {
    std::string head;
    for (int lines = 0; lines < 3;) {  // P6, width and height, 255
      std::uint8_t c = 0;
      if (program_.read(&c, 1) != 1) {
        if (head.empty()) return std::nullopt;
        return g4::fail("a frame is cut short");
      }
      head += static_cast<char>(c);
      lines += c == '\n' ? 1 : 0;
      if (head.size() > 64) return g4::fail("ffmpeg gives something else than frames");
    }
    g4::media::pixels frame;
    const std::size_t line = head.find('\n') + 1, blank = head.find(' ', line), end = head.find('\n', line);
    if (!head.starts_with("P6\n") || !head.ends_with("\n255\n") || blank > end ||
        !read_whole(std::string_view(head).substr(line, blank - line), frame.width) ||
        !read_whole(std::string_view(head).substr(blank + 1, end - blank - 1), frame.height)) {
      return g4::fail("ffmpeg gives something else than frames");
    }
    if (auto fine = check_size(frame.height, frame.width, limits); !fine) return g4::unexpected(fine.error());
    frame.rgb.resize(frame.height * frame.width * 3);
    if (program_.read(frame.rgb.data(), frame.rgb.size()) != frame.rgb.size()) return g4::fail("a frame is cut short");
    return frame;
  }

 private:
  running program_;
};

video::video() = default;
video::video(video&&) noexcept = default;
video& video::operator=(video&&) noexcept = default;
video::~video() = default;

g4::result<std::optional<g4::media::pixels>> video::decoded() {
  if (!files_.empty()) {
    auto picture = read_picture(files_[chosen_[next_]], limits_);
    if (!picture) return g4::unexpected(std::move(picture.error()));
    return std::optional(std::move(*picture));
  }
  auto frame = g4::guarded([&]() -> g4::result<std::optional<g4::media::pixels>> {
    if (decoder_ == nullptr) {
      decoder_ = std::make_unique<decoder>();
      if (!decoder_->start(path_, chosen_)) return g4::fail("ffmpeg is not installed");
    }
    return decoder_->next(limits_);
  });
  if (!frame) return g4::fail_in(path_, frame.error());
  if (!frame->has_value() && next_ == 0) return g4::fail(path_, ": ffmpeg reads no frame of it");
  return frame;
}

g4::result<std::optional<g4::media::frame>> video::next() {
  if (next_ == chosen_.size()) return std::nullopt;
  auto picture = decoded();
  if (!picture) return g4::unexpected(std::move(picture.error()));
  if (!picture->has_value()) return std::nullopt;
  const double seconds = static_cast<double>(chosen_[next_++]) / per_second_;
  return g4::media::frame{std::move(**picture), seconds};
}

g4::result<video> open_video(const std::string& path, double folder_rate, const picture_limits& limits) {
  return g4::guarded([&]() -> g4::result<video> {
    video out;
    out.path_ = path;
    out.limits_ = limits;
    const auto kind = g4::io::kind_of(path);
    if (kind == g4::io::path_kind::folder) {
      if (!(folder_rate > 0)) return g4::fail(path, ": frames of a folder need a time between two");
      auto files = pictures_in(path);
      if (!files) return g4::unexpected(std::move(files.error()));
      out.files_ = std::move(*files);
      out.frames_ = out.files_.size();
      out.per_second_ = folder_rate;
    } else {
      // A file that cannot be opened is said to be just that.
      if (auto file = g4::io::mapped_file::open(path); !file) return g4::unexpected(std::move(file.error()));
      const auto counts = count(path);
      if (!counts) return g4::unexpected(counts.error());
      out.frames_ = counts->frames;
      out.per_second_ = counts->per_second;
    }
    out.chosen_ = g4::text::gemma4_video_sample(out.frames_);
    return out;
  });
}

}  // namespace media_files
