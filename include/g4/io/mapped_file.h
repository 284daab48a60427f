/// A file's bytes without reading it: a read-only memory map (POSIX; a port to another system replaces this file).
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "g4/core/result.h"

namespace g4::io {

/// The whole of a file, mapped for reading. Pages come from disk when they are first touched and belong to the system's
/// cache, so many processes share them. Whoever shortens the file while it is mapped takes the pages away from under
/// the reader (the system then stops the process): replace checkpoints by renaming, never in place.
class mapped_file {
 public:
  /// Refuses what is missing, not an ordinary file, unreadable, or empty.
  [[nodiscard]] static result<mapped_file> open(const std::string& path) {
    // Non-blocking, so that a pipe is refused below and not waited for.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
      const int why = errno;
      if (why == ENOENT) return fail(path, ": there is no such file");
      return fail(path, ": cannot be opened (", std::generic_category().message(why), ")");
    }
    const closer close_at_end{descriptor};
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) {
      return fail(path, ": cannot be examined (", std::generic_category().message(errno), ")");
    }
    if (S_ISDIR(status.st_mode)) return fail(path, ": is a folder; expected a file");
    if (!S_ISREG(status.st_mode)) return fail(path, ": is not an ordinary file");
    if (status.st_size <= 0) return fail(path, ": is empty");
    if (static_cast<std::uint64_t>(status.st_size) > SIZE_MAX) return fail(path, ": is too large for this machine");
    const auto size = static_cast<std::size_t>(status.st_size);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      return fail(path, ": cannot be mapped into memory (", std::generic_category().message(errno), ")");
    }
    return mapped_file(path, static_cast<const std::byte*>(address), size);
  }

  mapped_file(mapped_file&& other) noexcept
      : path_(std::move(other.path_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  mapped_file& operator=(mapped_file&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~mapped_file() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Lets go of the whole pages inside `part` of bytes(): they no longer count as this process's memory and come back
  /// from the file if they are touched again. For weights that a backend has repacked.
  void release(std::span<const std::byte> part) const { advise(part, MADV_DONTNEED, pages::inside); }
  /// Starts reading `part` in the background.
  void will_need(std::span<const std::byte> part) const { advise(part, MADV_WILLNEED, pages::touched); }
  /// Says that `part` will be read once, in order.
  void sequential(std::span<const std::byte> part) const { advise(part, MADV_SEQUENTIAL, pages::touched); }
  /// Says that `part` will be read here and there: only the pages touched are worth reading. For tables of which a
  /// few rows are used.
  void random(std::span<const std::byte> part) const { advise(part, MADV_RANDOM, pages::inside); }

 private:
  struct closer {
    int descriptor;
    ~closer() { ::close(descriptor); }
  };
  enum class pages { inside, touched };

  mapped_file(std::string path, const std::byte* data, std::size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  /// Advice is only advice: a part that is not ours and a system that declines are both passed over.
  void advise(std::span<const std::byte> part, int advice, pages which) const {
    if (part.empty() || part.data() < data_ || part.data() >= data_ + size_) return;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::size_t first = static_cast<std::size_t>(part.data() - data_);
    const std::size_t length = part.size() < size_ - first ? part.size() : size_ - first;
    std::size_t last = first + length;
    if (which == pages::inside) {
      first = (first + page - 1) / page * page;
      // The file's last page is ours to the end.
      if (last != size_) last = last / page * page;
    } else {
      first = first / page * page;
    }
    if (first < last) ::madvise(const_cast<std::byte*>(data_) + first, last - first, advice);
  }

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A map that several owners keep alive.
[[nodiscard]] inline result<std::shared_ptr<const mapped_file>> map_file(const std::string& path) {
  auto file = mapped_file::open(path);
  if (!file) return unexpected(std::move(file.error()));
  return std::make_shared<const mapped_file>(std::move(*file));
}

/// Whether a path names a folder, a file, or nothing that can be seen.
enum class path_kind { nothing, file, folder };
[[nodiscard]] inline path_kind kind_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path_kind::nothing;
  return S_ISDIR(status.st_mode) ? path_kind::folder : path_kind::file;
}

/// Whether two paths lead to one file.
[[nodiscard]] inline bool same_file(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

/// The characters of a mapped file (or any other bytes).
[[nodiscard]] inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace g4::io
