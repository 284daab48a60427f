// Pictures in another size and in patches, sounds in frames.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "g4/media/patches.h"
#include "g4/media/picture.h"
#include "g4/media/resize.h"
#include "g4/media/sound.h"

namespace g4::media {
namespace {

using bytes = std::vector<std::uint8_t>;

bytes grey(const bytes& values) {
  bytes rgb;
  for (const std::uint8_t v : values) rgb.insert(rgb.end(), 3, v);
  return rgb;
}
bytes reds(const pixels& p) {
  bytes out;
  for (std::size_t i = 0; i < p.rgb.size(); i += 3) out.push_back(p.rgb[i]);
  return out;
}

TEST(picture, whole_or_not) {
  const bytes rgb(12);
  EXPECT_TRUE((picture{rgb, 2, 2}.is_whole()));
  EXPECT_FALSE((picture{rgb, 2, 3}.is_whole()));
  EXPECT_FALSE((picture{rgb, 0, 4}.is_whole()));
  EXPECT_FALSE((picture{{}, 0, 0}.is_whole()));
  EXPECT_FALSE((picture{rgb, std::size_t{1} << 62, 8}.is_whole()));
}

// What Pillow's Image.resize(…, BICUBIC) gives for the same lines.
TEST(resized, as_image_libraries_do_it) {
  const bytes line = grey({0, 64, 128, 255, 10, 200});
  const picture x{line, 1, 6};
  EXPECT_EQ(reds(resized(x, 1, 3)), (bytes{36, 164, 123}));
  EXPECT_EQ(reds(resized(x, 1, 9)), (bytes{0, 26, 74, 114, 211, 231, 30, 96, 212}));
  const picture column{line, 6, 1};
  EXPECT_EQ(reds(resized(column, 4, 1)), (bytes{18, 125, 163, 124}));
}

TEST(resized, of_one_colour_stays_so) {
  const bytes rgb = grey(bytes(7 * 5, 137));
  for (const std::uint8_t v : resized({rgb, 7, 5}, 12, 3).rgb) EXPECT_EQ(v, 137);
}

TEST(resized, to_the_same_size_changes_nothing) {
  const bytes rgb = grey({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(resized({rgb, 2, 3}, 2, 3).rgb, rgb);
}

TEST(cut, row_by_row_with_the_colours_of_a_pixel_together) {
  bytes rgb(2 * 4 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i);
  const std::vector<float> rows = cut({rgb, 2, 4}, 2);
  ASSERT_EQ(rows.size(), 2u * 12);
  const std::vector<int> first{0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17};
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_FLOAT_EQ(rows[i], static_cast<float>(first[i]) / 255);
    EXPECT_FLOAT_EQ(rows[12 + i], static_cast<float>(first[i] + 6) / 255);
  }
}

TEST(cut, colour_by_colour) {
  bytes rgb(2 * 2 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i);
  const std::vector<float> rows = cut({rgb, 2, 2}, 2, true);
  const std::vector<int> wanted{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11};
  for (std::size_t i = 0; i < 12; ++i) EXPECT_FLOAT_EQ(rows[i], static_cast<float>(wanted[i]) / 255);
}

TEST(framed, with_the_last_filled_up) {
  const std::vector<float> samples{1, 2, 3, 4, 5};
  EXPECT_EQ(framed({samples}, 3), (std::vector<float>{1, 2, 3, 4, 5, 0}));
  EXPECT_EQ(framed({samples}, 5), samples);
  EXPECT_TRUE(framed({}, 5).empty());
}

}  // namespace
}  // namespace g4::media
