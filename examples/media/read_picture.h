// Pictures from files, as pixels: PNG, JPEG, WebP and PPM.
//
// The library itself takes pixels (g4/media/picture.h); what is in a file is the affair of the well-kept libraries that
// this folder hands it to: libpng, libjpeg-turbo, libwebp.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "g4/core/result.h"
#include "g4/media/picture.h"

namespace media_files {

/// What is not read for being absurd.
struct picture_limits {
  std::size_t pixels = std::size_t{1} << 27;  ///< 11585 x 11585; an eighth of a gigabyte, three times
};

/// The pixels of a picture as it is to be looked at: turned as its EXIF or XMP data says, in red, green and blue of 8
/// bits. Of an animation, the first picture.
///
///     as Pillow's  ImageOps.exif_transpose(Image.open(path)).convert("RGB")
///
/// Transparency is left out and not painted over; RGB of 16 bits keeps its high bytes; grey of 16 bits is cut off at 255,
/// as it is there; CMYK is taken to be inverted, as Photoshop writes it. Colour profiles and gamma are not applied.
///
/// bytes   a whole file, of any of the formats; `name` is what a sentence calls it
/// Fails, naming the file, where it is no such picture, is cut short or damaged, or has more pixels than the limits allow.
/// It is stricter than Pillow with a damaged JPEG, which would come out grey from the damage on.
[[nodiscard]] g4::result<g4::media::pixels> read_picture(std::span<const std::byte> bytes, const std::string& name,
                                                         const picture_limits& limits = {});
[[nodiscard]] g4::result<g4::media::pixels> read_picture(const std::string& path, const picture_limits& limits = {});

}  // namespace media_files
