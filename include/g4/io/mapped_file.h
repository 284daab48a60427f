/// A file's bytes without reading it: a read-only memory map (POSIX; a port to another system replaces this file).
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "g4/core/compiled.h"
#include "g4/core/result.h"

namespace g4::io {

/// The whole of a file, mapped for reading. Pages come from disk when they are first touched and belong to the system's
/// cache, so many processes share them. Whoever shortens the file while it is mapped takes the pages away from under
/// the reader (the system then stops the process): replace checkpoints by renaming, never in place.
class mapped_file {
 public:
  /// Refuses what is missing, not an ordinary file, unreadable, or empty.
  [[nodiscard]] static result<mapped_file> open(const std::string& path);

  mapped_file(mapped_file&& other) noexcept
      : path_(std::move(other.path_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  mapped_file& operator=(mapped_file&& other) noexcept;
  ~mapped_file();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Lets go of the whole pages inside `part` of bytes(): they no longer count as this process's memory and come back
  /// from the file if they are touched again. For weights that a backend has moved elsewhere.
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
  void advise(std::span<const std::byte> part, int advice, pages which) const;

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A map that several owners keep alive.
[[nodiscard]] G4_INLINE result<std::shared_ptr<const mapped_file>> map_file(const std::string& path);

/// Whether a path names a folder, a file, or nothing that can be seen.
enum class path_kind { nothing, file, folder };
[[nodiscard]] G4_INLINE path_kind kind_of(const std::string& path);

/// Whether two paths lead to one file.
[[nodiscard]] G4_INLINE bool same_file(const std::string& a, const std::string& b);

/// The characters of a mapped file (or any other bytes).
[[nodiscard]] G4_INLINE std::string_view text_of(std::span<const std::byte> bytes);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/mapped_file.inl"  // IWYU pragma: keep
#endif
