/// mapped_file.h, defined.
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

#include "g4/io/mapped_file.h"

namespace g4::io {

G4_INLINE result<mapped_file> mapped_file::open(const std::string& path) {
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

G4_INLINE mapped_file& mapped_file::operator=(mapped_file&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

G4_INLINE mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

G4_INLINE void mapped_file::advise(std::span<const std::byte> part, int advice, pages which) const {
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

G4_INLINE result<std::shared_ptr<const mapped_file>> map_file(const std::string& path) {
  auto file = mapped_file::open(path);
  if (!file) return unexpected(std::move(file.error()));
  return std::make_shared<const mapped_file>(std::move(*file));
}

G4_INLINE path_kind kind_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path_kind::nothing;
  return S_ISDIR(status.st_mode) ? path_kind::folder : path_kind::file;
}

G4_INLINE bool same_file(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

G4_INLINE std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace g4::io
