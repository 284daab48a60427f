/// Writes a file that either appears whole under its name or not at all (POSIX, like mapped_file.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "g4/core/compiled.h"
#include "g4/core/result.h"

namespace g4::io {

/// A file in the making: bytes go to a temporary neighbour, and `finish` renames it. Whoever has the old file of that
/// name mapped keeps the old bytes. A writer that goes away without `finish` takes the neighbour with it.
class file_writer {
 public:
  [[nodiscard]] static result<file_writer> create(const std::string& path);

  file_writer(file_writer&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::move(other.temporary_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        written_(other.written_) {}
  file_writer& operator=(file_writer&& other) noexcept;
  ~file_writer() { abandon(); }

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Bytes written so far.
  [[nodiscard]] std::uint64_t size() const { return written_; }

  /// Appends. After an error nothing more can be written and nothing stays behind.
  [[nodiscard]] result<void> write(std::span<const std::byte> bytes);
  [[nodiscard]] result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

  /// Puts the file under its name, in place of what was there.
  [[nodiscard]] result<void> finish();

 private:
  file_writer(std::string path, std::string temporary, int descriptor)
      : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

  void abandon();
  [[nodiscard]] unexpected give_up(const char* what);

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
};

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/file_writer.inl"  // IWYU pragma: keep
#endif
