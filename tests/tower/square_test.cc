// The picture tower of Gemma 3: one size of picture, plain layers with biases, a projector that lies the other way round.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/load/tower.h"
#include "g4/media/patches.h"
#include "g4/model/tower/run.h"
#include "g4/variants/gemma3_4b.h"
#include "tests/support/faraway.h"
#include "tests/support/random_tower.h"
#include "tests/support/small_towers.h"

namespace g4 {
namespace {

constexpr int text_width = 6;
using eyes = test::square_eyes;

static_assert(siglip_so400m::widths == std::array{0, 0, 588, 588, 1152, 1152, 1152, 1152, 1152, 0});
static_assert(rows_made<siglip_so400m>(4096) == 256 && gemma3_4b::seeing::budget.most == 256);
static_assert(gemma3_4b::can_see && !gemma3_4b::can_hear && Variant<gemma3_4b::text>);

std::vector<std::uint8_t> some_pixels() {
  std::vector<std::uint8_t> rgb(8 * 8 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 53);
  return rgb;
}

template <class B>
auto weights_on(B& on, const test::random_tower<eyes, text_width>& t, load::format f = load::format::safetensors) {
  const auto file = t.file(f);
  return load::make_tower<eyes, text_width>(file, f, on);
}

/// The rows that a tower makes of the picture above.
template <class Weights>
std::vector<double> seen_by(const Weights& w) {
  backend::reference<double> on;
  const auto rgb = some_pixels();
  const media::picture picture{rgb, 8, 8};
  const auto made = run_tower(on, *w, {media::cut(picture, 2, w->colours_apart), media::places_of(picture, 2)});
  if (!made) return {};
  return {made->view().data, made->view().data + made->count() * text_width};
}

TEST(square, of_an_mmproj_file_the_same_as_of_safetensors) {
  test::random_tower<eyes, text_width> t;
  backend::reference<double> on;
  const auto w = weights_on(on, t), v = weights_on(on, t, load::format::gguf);
  ASSERT_TRUE(w) << w.error().message;
  ASSERT_TRUE(v) << v.error().message;
  const auto a = seen_by(*w), b = seen_by(*v);
  ASSERT_EQ(a.size(), 4u * text_width);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5);

  for (auto& [name, tensor] : t.tensors) {  // as the first such files named the two maps of a feed-forward
    const bool up = tensor.gguf.find(".ffn_up.") != std::string::npos;
    if (const auto at = tensor.gguf.find(up ? ".ffn_up." : ".ffn_down."); at != std::string::npos) {
      tensor.gguf.replace(at, up ? 8 : 10, up ? ".ffn_down." : ".ffn_up.");
    }
  }
  const auto early = weights_on(on, t, load::format::gguf);
  ASSERT_TRUE(early) << early.error().message;
  EXPECT_EQ(seen_by(*early), b);
}

TEST(square, of_a_published_checkpoint_the_same) {
  test::random_tower<eyes, text_width> t;
  backend::reference<double> on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  test::random_tower<eyes, text_width> published = t;
  published.tensors.clear();
  for (const auto& [name, tensor] : t.tensors) {
    const std::string tower = "vision_tower.";
    published.tensors[name.starts_with(tower) ? tower + "vision_model." + name.substr(tower.size()) : name] = tensor;
  }
  const auto v = weights_on(on, published);
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_EQ(seen_by(*w), seen_by(*v));
}

TEST(square, touches_no_number_itself_and_takes_one_size) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<float> near;
  test::faraway<float> far;
  const auto w = weights_on(near, t);
  const auto v = weights_on(far, t);
  ASSERT_TRUE(w && v);
  const auto rgb = some_pixels();
  const media::picture picture{rgb, 8, 8};
  const auto rows = media::cut(picture, 2, true);
  const auto places = media::places_of(picture, 2);
  const auto here = run_tower(near, **w, {rows, places});
  const auto there = run_tower(far, **v, {rows, places});
  ASSERT_TRUE(here && there);
  std::vector<float> room(4 * text_width);
  const float* const found = far.host(there->view().data, room.size(), room.data());
  for (std::size_t i = 0; i < room.size(); ++i) EXPECT_EQ(here->view().data[i], found[i]);

  const std::vector<place> fewer(places.begin(), places.begin() + 4);
  const auto made = run_tower(near, **w, {std::span(rows).first(4 * 12), fewer});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "tower: 4 patches; a picture has 16");
}

}  // namespace
}  // namespace g4
