// JPEG, by libjpeg-turbo with its usual settings: the slow and exact transform, smooth chroma.
#include <cstdio>  // before jpeglib.h, which does not include what it needs

#include <jpeglib.h>

#include <jerror.h>

#include <csetjmp>
#include <cstring>
#include <utility>

#include "picture_formats.h"

namespace media_files {

namespace {

constexpr std::string_view exif_mark("Exif\0\0", 6);
constexpr std::string_view xmp_mark("http://ns.adobe.com/xap/1.0/\0", 29);

/// libjpeg says what is wrong by calling back, and must not be returned to: functions that it leaves by longjmp hold
/// nothing that has a destructor.
struct jpeg_job {
  jpeg_decompress_struct j{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf back;
  char why[JMSG_LENGTH_MAX] = "";

  jpeg_job() {
    j.err = jpeg_std_error(&errors);
    j.client_data = this;
    errors.error_exit = [](j_common_ptr c) {
      auto* const self = static_cast<jpeg_job*>(c->client_data);
      c->err->format_message(c, self->why);
      std::longjmp(self->back, 1);
    };
    errors.emit_message = [](j_common_ptr c, int level) {
      if (level >= 0) return;  // told, not warned
      switch (c->err->msg_code) {
        case JWRN_EXTRANEOUS_DATA:  // what cameras write and everybody reads
        case JWRN_ADOBE_XFORM:
        case JWRN_TOO_MUCH_DATA:
        case JWRN_JFIF_MAJOR: return;
        default: c->err->error_exit(c);
      }
    };
    errors.output_message = [](j_common_ptr) {};
    progress.progress_monitor = [](j_common_ptr c) {
      constexpr int most_scans = 500;  // each of them walks over the whole picture
      if (!c->is_decompressor || reinterpret_cast<j_decompress_ptr>(c)->input_scan_number <= most_scans) return;
      auto* const self = static_cast<jpeg_job*>(c->client_data);
      std::strncpy(self->why, "it has more scans than any picture needs", sizeof self->why - 1);
      std::longjmp(self->back, 1);
    };
  }
  ~jpeg_job() { jpeg_destroy_decompress(&j); }
  jpeg_job(const jpeg_job&) = delete;
  jpeg_job& operator=(const jpeg_job&) = delete;
};

bool read_header(jpeg_job& job, std::span<const std::byte> bytes) {
  if (setjmp(job.back) != 0) return false;
  jpeg_create_decompress(&job.j);
  job.j.progress = &job.progress;
  jpeg_mem_src(&job.j, as_bytes(bytes), static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(&job.j, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&job.j, TRUE);
  return true;
}

bool begin(jpeg_job& job) {
  if (setjmp(job.back) != 0) return false;
  job.j.out_color_space = job.j.num_components == 1 ? JCS_GRAYSCALE : job.j.num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&job.j);
  return true;
}

bool read_row(jpeg_job& job, JSAMPROW row) {
  if (setjmp(job.back) != 0) return false;
  jpeg_read_scanlines(&job.j, &row, 1);
  return true;
}

bool finish(jpeg_job& job) {
  if (setjmp(job.back) != 0) return false;
  jpeg_finish_decompress(&job.j);
  return true;
}

/// a·b / 255, rounded.
std::uint8_t share(unsigned a, unsigned b) {
  const unsigned product = a * b + 128;
  return static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
}

}  // namespace

g4::result<stored_picture> read_jpeg(std::span<const std::byte> bytes, const picture_limits& limits) {
  jpeg_job job;
  const auto refuse = [&] { return g4::fail("is no whole JPEG: ", static_cast<const char*>(job.why)); };
  if (!read_header(job, bytes)) return refuse();
  const std::size_t height = job.j.image_height, width = job.j.image_width;
  if (auto fine = check_size(height, width, limits); !fine) return g4::unexpected(fine.error());
  const int channels = job.j.num_components;
  if (channels != 1 && channels != 3 && channels != 4)
    return g4::fail("is a JPEG of ", channels, " components; expected 1, 3 or 4");

  stored_picture out{{{}, height, width}, {}, {}};
  for (jpeg_saved_marker_ptr m = job.j.marker_list; m != nullptr; m = m->next) {
    const std::string_view said(reinterpret_cast<const char*>(m->data), m->data_length);
    if (said.starts_with(exif_mark)) out.exif.insert(out.exif.end(), said.begin() + exif_mark.size(), said.end());
    if (said.starts_with(xmp_mark) && out.xmp.empty()) out.xmp = said.substr(xmp_mark.size());
  }
  if (!begin(job)) return refuse();
  std::vector<std::uint8_t> row(width * static_cast<std::size_t>(channels));
  std::vector<std::uint8_t>& rgb = out.pixels.rgb;
  rgb.reserve(height * width * 3);
  for (std::size_t y = 0; y < height; ++y) {
    if (!read_row(job, row.data())) return refuse();
    if (channels == 3) {
      rgb.insert(rgb.end(), row.begin(), row.end());
      continue;
    }
    for (std::size_t x = 0; x < width; ++x) {
      if (channels == 1) {
        rgb.insert(rgb.end(), 3, row[x]);
        continue;
      }
      // Stored as 255 − ink: red = (255 − key)·(255 − cyan) / 255, the subtraction as Pillow does it.
      const unsigned light = row[4 * x + 3];
      for (std::size_t c = 0; c < 3; ++c) {
        rgb.push_back(static_cast<std::uint8_t>(light - share(255u - row[4 * x + c], light)));
      }
    }
  }
  if (!finish(job)) return refuse();
  return out;
}

}  // namespace media_files
