// PNG, by libpng: the pixels as stored, without its colour management.
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <utility>

#include "picture_formats.h"

namespace media_files {

namespace {

/// libpng says what is wrong by calling back, and goes on by longjmp: functions that it returns into that way hold nothing
/// that has a destructor.
struct png_job {
  std::span<const std::byte> left;
  char why[160] = "";
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_infop behind = nullptr;

  png_job(std::span<const std::byte> bytes, const picture_limits& limits) : left(bytes) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, complain, [](png_structp, png_const_charp) {});
    if (png == nullptr) return;
    info = png_create_info_struct(png);
    behind = png_create_info_struct(png);
    png_set_read_fn(png, this, give);
    const auto most = static_cast<png_uint_32>(std::min<std::size_t>(limits.pixels, 0x7fffffff));
    png_set_user_limits(png, most, most);
    png_set_chunk_malloc_max(png, 8u << 20);
    png_set_chunk_cache_max(png, 256);
  }
  ~png_job() { png_destroy_read_struct(&png, &info, &behind); }
  png_job(const png_job&) = delete;
  png_job& operator=(const png_job&) = delete;

  static void complain(png_structp png, png_const_charp why) {
    auto* const self = static_cast<png_job*>(png_get_error_ptr(png));
    std::strncpy(self->why, why, sizeof self->why - 1);
    png_longjmp(png, 1);
  }
  static void give(png_structp png, png_bytep to, std::size_t count) {
    auto* const self = static_cast<png_job*>(png_get_io_ptr(png));
    if (count > self->left.size()) png_error(png, "it is cut short");
    std::memcpy(to, self->left.data(), count);
    self->left = self->left.subspan(count);
  }
};

struct png_header {
  std::size_t height = 0, width = 0, row_bytes = 0;
  int depth = 0, colours = 0;
};

bool read_header(png_job& job, png_header& h) {
  if (setjmp(png_jmpbuf(job.png)) != 0) return false;
  png_read_info(job.png, job.info);
  h.height = png_get_image_height(job.png, job.info);
  h.width = png_get_image_width(job.png, job.info);
  h.depth = png_get_bit_depth(job.png, job.info);
  h.colours = png_get_color_type(job.png, job.info);
  png_set_packing(job.png);  // one byte for each number
  png_set_interlace_handling(job.png);
  png_read_update_info(job.png, job.info);
  h.row_bytes = png_get_rowbytes(job.png, job.info);
  return true;
}

bool read_rows(png_job& job, png_bytepp rows) {
  if (setjmp(png_jmpbuf(job.png)) != 0) return false;
  png_read_image(job.png, rows);
  png_read_end(job.png, job.behind);
  return true;
}

/// Whether every chunk lies within the file: libpng takes memory for some before it looks.
bool chunks_fit(std::span<const std::byte> bytes) {
  constexpr std::size_t signature = 8, around = 12;  // bytes of a chunk beside its contents
  std::size_t at = signature;
  while (at < bytes.size()) {
    if (bytes.size() - at < around) return false;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<std::size_t>(bytes[at + i]);
    if (length > bytes.size() - at - around) return false;
    if (as_text(bytes).substr(at + 4, 4) == "IEND") return true;
    at += around + length;
  }
  return false;
}

/// EXIF and XMP may stand before the pixels or behind.
void read_notes(png_job& job, stored_picture& out) {
  for (png_infop info : {job.info, job.behind}) {
    png_bytep exif = nullptr;
    png_uint_32 exif_bytes = 0;
    if (out.exif.empty() && png_get_eXIf_1(job.png, info, &exif_bytes, &exif) != 0) {
      out.exif.assign(exif, exif + exif_bytes);
    }
    png_textp texts = nullptr;
    const int count = png_get_text(job.png, info, &texts, nullptr);
    for (int i = 0; i < count; ++i) {
      if (out.xmp.empty() && std::strcmp(texts[i].key, "XML:com.adobe.xmp") == 0 && texts[i].text != nullptr) {
        out.xmp = texts[i].text;
      }
    }
  }
}

}  // namespace

g4::result<stored_picture> read_png(std::span<const std::byte> bytes, const picture_limits& limits) {
  if (!chunks_fit(bytes)) return g4::fail("is no whole PNG: it is cut short");
  png_job job(bytes, limits);
  if (job.info == nullptr || job.behind == nullptr) return g4::fail("out of memory");
  const auto refuse = [&] { return g4::fail("is no whole PNG: ", static_cast<const char*>(job.why)); };
  png_header h;
  if (!read_header(job, h)) return refuse();
  if (auto fine = check_size(h.height, h.width, limits); !fine) return g4::unexpected(fine.error());
  // Deflate makes at most 1032 bytes of one: a file of a few bytes cannot ask for gigabytes.
  const std::size_t stored_bits = static_cast<std::size_t>(h.depth) * png_get_channels(job.png, job.info);
  if (h.height * (h.width * stored_bits / 8) / 1040 > bytes.size())
    return g4::fail("is cut short: ", bytes.size(), " bytes cannot hold ", h.height, " x ", h.width, " pixels");

  std::vector<std::uint8_t> raw(h.height * h.row_bytes);
  std::vector<png_bytep> rows(h.height);
  for (std::size_t i = 0; i < h.height; ++i) rows[i] = raw.data() + i * h.row_bytes;
  if (!read_rows(job, rows.data())) return refuse();

  stored_picture out{{{}, h.height, h.width}, {}, {}};
  read_notes(job, out);
  std::array<std::array<std::uint8_t, 3>, 256> palette{};  // what it does not name is black
  if (h.colours == PNG_COLOR_TYPE_PALETTE) {
    png_colorp named = nullptr;
    int count = 0;
    png_get_PLTE(job.png, job.info, &named, &count);
    for (int i = 0; i < std::min(count, 256); ++i) palette[i] = {named[i].red, named[i].green, named[i].blue};
  }
  const std::size_t channels = png_get_channels(job.png, job.info);
  const std::size_t wide = h.depth == 16 ? 2 : 1;  // bytes of a number, the high one first
  const bool coloured = (h.colours & PNG_COLOR_MASK_COLOR) != 0;
  const auto grey_step = static_cast<std::uint8_t>(h.depth < 8 ? 255 / ((1 << h.depth) - 1) : 1);
  std::vector<std::uint8_t>& rgb = out.pixels.rgb;
  rgb.reserve(h.height * h.width * 3);
  for (std::size_t y = 0; y < h.height; ++y) {
    for (std::size_t x = 0; x < h.width; ++x) {
      const std::uint8_t* const p = rows[y] + x * channels * wide;
      if (h.colours == PNG_COLOR_TYPE_PALETTE) {
        rgb.insert(rgb.end(), palette[*p].begin(), palette[*p].end());
      } else if (coloured) {
        for (std::size_t c = 0; c < 3; ++c) rgb.push_back(p[c * wide]);
      } else if (h.colours == PNG_COLOR_TYPE_GRAY && wide == 2) {
        rgb.insert(rgb.end(), 3, p[0] != 0 ? std::uint8_t{255} : p[1]);
      } else {
        rgb.insert(rgb.end(), 3, static_cast<std::uint8_t>(*p * grey_step));
      }
    }
  }
  return out;
}

}  // namespace media_files
