// WebP, by libwebp: the first picture of the file, which may be the only one.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "picture_formats.h"

namespace media_files {

namespace {

/// A chunk beside the picture, such as "EXIF".
std::string_view chunk(const WebPDemuxer* file, const char* name, WebPChunkIterator& at) {
  if (WebPDemuxGetChunk(file, name, 1, &at) == 0) return {};
  return {reinterpret_cast<const char*>(at.chunk.bytes), at.chunk.size};
}

}  // namespace

g4::result<stored_picture> read_webp(std::span<const std::byte> bytes, const picture_limits& limits) {
  const WebPData data{as_bytes(bytes), bytes.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> file(WebPDemux(&data), WebPDemuxDelete);
  if (file == nullptr) return g4::fail("is no whole WebP");
  const std::size_t height = WebPDemuxGetI(file.get(), WEBP_FF_CANVAS_HEIGHT);
  const std::size_t width = WebPDemuxGetI(file.get(), WEBP_FF_CANVAS_WIDTH);
  if (auto fine = check_size(height, width, limits); !fine) return g4::unexpected(fine.error());

  WebPAnimDecoderOptions how;
  if (WebPAnimDecoderOptionsInit(&how) == 0) return g4::fail("libwebp is another version than it was built for");
  how.color_mode = MODE_RGBA;
  how.use_threads = 0;
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&data, &how),
                                                                             WebPAnimDecoderDelete);
  std::uint8_t* rgba = nullptr;  // [height, width, 4], the decoder's
  int when = 0;
  if (decoder == nullptr || WebPAnimDecoderGetNext(decoder.get(), &rgba, &when) == 0)
    return g4::fail("is no whole WebP: its pixels are damaged");

  stored_picture out{{{}, height, width}, {}, {}};
  out.pixels.rgb.reserve(height * width * 3);
  for (std::size_t i = 0; i < height * width; ++i) {
    out.pixels.rgb.insert(out.pixels.rgb.end(), rgba + 4 * i, rgba + 4 * i + 3);
  }
  WebPChunkIterator at;
  if (const std::string_view exif = chunk(file.get(), "EXIF", at); !exif.empty()) {
    out.exif.assign(exif.begin(), exif.end());
    WebPDemuxReleaseChunkIterator(&at);
  }
  if (const std::string_view xmp = chunk(file.get(), "XMP ", at); !xmp.empty()) {
    out.xmp = xmp;
    WebPDemuxReleaseChunkIterator(&at);
  }
  return out;
}

}  // namespace media_files
