/// file_writer.h, defined.
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
#include <system_error>
#include <utility>

#include "g4/io/file_writer.h"

namespace g4::io {

G4_INLINE result<file_writer> file_writer::create(const std::string& path) {
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

G4_INLINE file_writer& file_writer::operator=(file_writer&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(written_, other.written_);
  return *this;
}

G4_INLINE result<void> file_writer::write(std::span<const std::byte> bytes) {
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

G4_INLINE result<void> file_writer::finish() {
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

G4_INLINE void file_writer::abandon() {
  if (descriptor_ < 0) return;
  ::close(std::exchange(descriptor_, -1));
  ::unlink(temporary_.c_str());
}

G4_INLINE unexpected file_writer::give_up(const char* what) {
  const int why = errno;
  abandon();
  return fail(path_, ": ", what, " (", std::generic_category().message(why), ")");
}

}  // namespace g4::io
