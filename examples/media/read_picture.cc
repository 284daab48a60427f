#include "read_picture.h"

#include <utility>

#include "g4/core/guarded.h"
#include "g4/io/mapped_file.h"
#include "picture_formats.h"

namespace media_files {

namespace {

using reader = g4::result<stored_picture> (*)(std::span<const std::byte>, const picture_limits&);

reader reader_of(std::string_view text) {
  if (text.starts_with("\x89PNG\r\n\x1a\n")) return read_png;
  if (text.starts_with("\xff\xd8\xff")) return read_jpeg;
  if (text.size() >= 12 && text.starts_with("RIFF") && text.substr(8, 4) == "WEBP") return read_webp;
  if (text.size() >= 3 && text[0] == 'P' && text[1] >= '1' && text[1] <= '6') return read_ppm;
  return nullptr;
}

}  // namespace

g4::result<void> check_size(std::size_t height, std::size_t width, const picture_limits& limits) {
  if (height == 0 || width == 0 || width > limits.pixels / height) {
    return g4::fail("has ", height, " x ", width, " pixels; expected at least one and at most ", limits.pixels);
  }
  return {};
}

g4::result<g4::media::pixels> read_picture(std::span<const std::byte> bytes, const std::string& name,
                                           const picture_limits& limits) {
  const reader read = reader_of(as_text(bytes));
  if (read == nullptr) return g4::fail(name, ": is no picture; expected PNG, JPEG, WebP or PPM");
  auto turned_up = g4::guarded([&]() -> g4::result<g4::media::pixels> {
    auto stored = read(bytes, limits);
    if (!stored) return g4::unexpected(std::move(stored.error()));
    const int orientation = orientation_of(*stored);
    return turned(std::move(stored->pixels), orientation);
  });
  if (!turned_up) return g4::fail_in(name, turned_up.error());
  return turned_up;
}

g4::result<g4::media::pixels> read_picture(const std::string& path, const picture_limits& limits) {
  const auto file = g4::io::mapped_file::open(path);
  if (!file) return g4::unexpected(file.error());
  return read_picture(file->bytes(), path, limits);
}

}  // namespace media_files
