/// Writes a file that either appears whole under its name or not at all (POSIX, like mapped_file.h).
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "g4/core/result.h"

namespace g4::io {

/// A file in the making: bytes go to a temporary neighbour, and `finish` renames it. Whoever has the old file of that
/// name mapped keeps the old bytes. A writer that goes away without `finish` takes the neighbour with it.
class file_writer {
 public:
  [[nodiscard]] static result<file_writer> create(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
      return fail(path, ": exists and is not an ordinary file; it is left alone");
    }
    // The process's number keeps two programs apart, the count two writers of one program.
    for (int i = 0; i < 100; ++i) {
      std::string temporary = path + ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(i);
      const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor >= 0) return file_writer(path, std::move(temporary), descriptor);
      if (errno != EEXIST) return fail(path, ": cannot be written (", std::generic_category().message(errno), ")");
    }
    return fail(path, ": cannot be written (too many unfinished files beside it)");
  }

  file_writer(file_writer&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::move(other.temporary_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        written_(other.written_) {}
  file_writer& operator=(file_writer&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(temporary_, other.temporary_);
    std::swap(descriptor_, other.descriptor_);
    std::swap(written_, other.written_);
    return *this;
  }
  ~file_writer() { abandon(); }

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Bytes written so far.
  [[nodiscard]] std::uint64_t size() const { return written_; }

  /// Appends. After an error nothing more can be written and nothing stays behind.
  [[nodiscard]] result<void> write(std::span<const std::byte> bytes) {
    if (descriptor_ < 0) return fail(path_, ": is not being written any more");
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return give_up("cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      written_ += static_cast<std::uint64_t>(count);
    }
    return {};
  }
  [[nodiscard]] result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

  /// Puts the file under its name, in place of what was there.
  [[nodiscard]] result<void> finish() {
    if (descriptor_ < 0) return fail(path_, ": is not being written any more");
    // Without this a power cut could leave the name without the bytes.
    if (::fsync(descriptor_) != 0) return give_up("cannot be written");
    const int closed = ::close(std::exchange(descriptor_, -1));
    if (closed != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
      const int why = errno;
      ::unlink(temporary_.c_str());
      return fail(path_, ": cannot be put in place (", std::generic_category().message(why), ")");
    }
    return {};
  }

 private:
  file_writer(std::string path, std::string temporary, int descriptor)
      : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

  void abandon() {
    if (descriptor_ < 0) return;
    ::close(std::exchange(descriptor_, -1));
    ::unlink(temporary_.c_str());
  }
  [[nodiscard]] unexpected give_up(const char* what) {
    const int why = errno;
    abandon();
    return fail(path_, ": ", what, " (", std::generic_category().message(why), ")");
  }

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
};

}  // namespace g4::io
