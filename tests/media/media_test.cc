// Pictures in another size and in patches, sounds in frames.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "g4/media/pan_and_scan.h"
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

// … and with BILINEAR.
TEST(resized, with_triangles_too) {
  const bytes line = grey({0, 64, 128, 255, 10, 200});
  const picture x{line, 1, 6};
  EXPECT_EQ(reds(resized(x, 1, 3, joined_by::triangle)), (bytes{46, 153, 126}));
  EXPECT_EQ(reds(resized(x, 1, 9, joined_by::triangle)), (bytes{0, 32, 75, 117, 192, 214, 51, 105, 200}));
  EXPECT_EQ(reds(resized({line, 6, 1}, 4, 1, joined_by::triangle)), (bytes{24, 121, 159, 129}));
}

TEST(pieces, along_the_longer_side) {
  const bytes lying = grey(bytes(40 * 110, 7)), standing = grey(bytes(110 * 40, 7));
  const pan_and_scan how{.shortest_side = 20, .most = 4};
  const auto sizes = [](const std::vector<pixels>& pieces) {
    std::vector<std::size_t> out;
    for (const pixels& p : pieces) out.insert(out.end(), {p.height, p.width});
    return out;
  };
  using list = std::vector<std::size_t>;
  EXPECT_EQ(sizes(pieces_of({lying, 40, 110}, how)), (list{40, 37, 40, 37, 40, 36}));
  EXPECT_EQ(sizes(pieces_of({standing, 110, 40}, how)), (list{37, 40, 37, 40, 36, 40}));
  EXPECT_EQ(pieces_of({lying, 40, 110}, {.shortest_side = 20, .most = 2}).size(), 2u);
}

TEST(pieces, none_of_a_picture_that_is_not_long_or_too_small) {
  const bytes rgb = grey(bytes(40 * 110, 7));
  EXPECT_TRUE(pieces_of({std::span(rgb).first(3 * 40 * 47), 40, 47}, {.shortest_side = 20}).empty());  // 1.175 times
  EXPECT_TRUE(pieces_of({rgb, 40, 110}, {.shortest_side = 41}).empty());
  EXPECT_TRUE(pieces_of({rgb, 40, 110}).empty());
  EXPECT_TRUE(pieces_of({}, {.shortest_side = 20}).empty());
}

TEST(places, in_the_order_of_the_patches) {
  const bytes rgb(4 * 6 * 3);
  std::vector<std::int32_t> found;
  for (const place& p : places_of({rgb, 4, 6}, 2)) found.insert(found.end(), {p.column, p.row});
  EXPECT_EQ(found, (std::vector<std::int32_t>{0, 0, 1, 0, 2, 0, 0, 1, 1, 1, 2, 1}));
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
