// MobileNetV5: what of it no case shows. Its numbers are those of conformance/cases/gemma3n-eyes.
#include "g4/model/tower/mobilenet.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/load/tower.h"
#include "g4/media/patches.h"
#include "g4/model/tower/own_ids.h"
#include "g4/model/tower/run.h"
#include "g4/ops/plane.h"
#include "g4/variants/mobilenet_v5_300m.h"
#include "tests/support/faraway.h"
#include "tests/support/random_tower.h"
#include "tests/support/small_towers.h"

namespace g4 {
namespace {

constexpr int text_width = 6;
using eyes = test::convolved_eyes;

static_assert(mobilenet_v5_300m::widths == std::array{0, 0, 3, 2048, 2048, 0});
static_assert(rows_made<mobilenet_v5_300m>(768 * 768) == 256);
constexpr int released_blocks() {
  int n = 0;
  for (const mobile_block& b : mobilenet_v5_300m::spec.find<stage::mobilenet>()->block) n += b.times;
  return n;
}
static_assert(released_blocks() == 84);
static_assert(whole_channels(20) == 24 && whole_channels(11) == 16 && whole_channels(2560) == 2560);

TEST(plane, is_covered_as_padding_same_covers_it) {
  for (const ops::plane& p : {ops::plane{6, 6, 2, 3, 2}, ops::plane{7, 4, 3, 5, 2}, ops::plane{5, 3, 2, 5, 1},
                              ops::plane{1, 2, 2, 3, 2}, ops::plane{8, 9, 1, 1, 1}}) {
    std::vector<double> x(p.height * p.width * p.channels), alone(p.rows() * p.columns() * p.channels);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<double>(i + 1));
    std::vector<float> kernel(p.numbers());
    for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = static_cast<float>(std::cos(static_cast<double>(i)));
    std::vector<double> squares(p.rows() * p.columns() * p.numbers());
    ops::unfold(x.data(), p, 0, p.rows(), squares.data());
    ops::depthwise(x.data(), kernel.data(), p, 0, p.rows(), alone.data());

    // y[i, j] = Σ kernel[a, b] · x[i·stride + a − before, …], ⌈n / stride⌉ of them, half of what is missing before
    const auto before = [&](std::size_t n) {
      const long rows = (static_cast<long>(n) + static_cast<long>(p.stride) - 1) / static_cast<long>(p.stride);
      const long missing = (rows - 1) * static_cast<long>(p.stride) + static_cast<long>(p.side) - static_cast<long>(n);
      return missing > 0 ? missing / 2 : 0;
    };
    for (std::size_t i = 0; i < p.rows(); ++i) {
      for (std::size_t j = 0; j < p.columns(); ++j) {
        const double* const square = squares.data() + (i * p.columns() + j) * p.numbers();
        for (std::size_t c = 0; c < p.channels; ++c) {
          double sum = 0;
          for (std::size_t a = 0; a < p.side; ++a) {
            for (std::size_t b = 0; b < p.side; ++b) {
              const long row = static_cast<long>(i * p.stride + a) - before(p.height);
              const long column = static_cast<long>(j * p.stride + b) - before(p.width);
              const bool inside =
                  row >= 0 && column >= 0 && row < static_cast<long>(p.height) && column < static_cast<long>(p.width);
              const double here =
                  inside
                      ? x[(static_cast<std::size_t>(row) * p.width + static_cast<std::size_t>(column)) * p.channels + c]
                      : 0;
              EXPECT_EQ(square[(a * p.side + b) * p.channels + c], here);
              sum += kernel[(a * p.side + b) * p.channels + c] * here;
            }
          }
          EXPECT_NEAR(alone[(i * p.columns() + j) * p.channels + c], sum, 1e-12);
        }
      }
    }
  }
}

std::vector<std::uint8_t> some_pixels(std::size_t side) {
  std::vector<std::uint8_t> rgb(side * side * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 53);
  return rgb;
}

template <class B>
auto weights_on(B& on, const test::random_tower<eyes, text_width>& t, load::format f = load::format::safetensors) {
  const auto file = t.file(f);
  return load::make_tower<eyes, text_width>(file, f, on);
}

/// The rows that a tower makes of a picture of `side` × `side` pixels, or why it makes none.
template <class B, class Weights>
auto seen_by(B& on, const Weights& w, std::size_t side, tap<typename B::scalar> see = {}) {
  const auto rgb = some_pixels(side);
  const media::picture picture{rgb, side, side};
  return run_tower(on, *w, {media::cut(picture, 1), media::places_of(picture, 1)}, see);
}

TEST(mobilenet, of_an_mmproj_file_the_same_as_of_safetensors) {
  test::random_tower<eyes, text_width> t;
  ASSERT_TRUE(t.tensors.contains("vision_tower.timm_model.blocks.1.3.attn.key.down_conv.weight"));
  ASSERT_EQ(t.tensors.at("vision_tower.timm_model.blocks.1.3.layer_scale.gamma").gguf, "v.blk.1.3.layer_scale.gamma");
  ASSERT_EQ(t.tensors.at("embed_vision.embedding_projection.weight").gguf, "mm.input_projection.weight");
  for (auto& [name, tensor] : t.tensors) {  // such files have planes where there are rows, and matrices for products
    if (name.ends_with("layer_scale.gamma") || name.ends_with("conv.bias"))
      tensor.turned_dims = {1, tensor.dims[0], 1, 1};
    if (name.ends_with("pw_exp.conv.weight")) tensor.turned_dims = {tensor.dims[0], tensor.dims[1]};
  }
  backend::reference<double> on;
  const auto w = weights_on(on, t), v = weights_on(on, t, load::format::gguf);
  ASSERT_TRUE(w) << w.error().message;
  ASSERT_TRUE(v) << v.error().message;
  const auto a = seen_by(on, *w, 16), b = seen_by(on, *v, 16);
  ASSERT_TRUE(a && b);
  for (std::size_t i = 0; i < 4 * text_width; ++i) EXPECT_EQ(a->view().data[i], b->view().data[i]);
}

TEST(mobilenet, touches_no_number_itself) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<float> near;
  test::faraway<float> far;
  const auto w = weights_on(near, t);
  const auto v = weights_on(far, t);
  ASSERT_TRUE(w && v);
  std::vector<std::string> seen;
  const tap<float> see{&seen, [](void* self, const tapped<float>& what) {
                         static_cast<std::vector<std::string>*>(self)->push_back(std::string(what.name) + " " +
                                                                                 std::to_string(what.layer) + " " +
                                                                                 std::to_string(what.rows));
                       }};
  const auto here = seen_by(near, *w, 16, see);
  const auto there = seen_by(far, *v, 16);
  ASSERT_TRUE(here && there);
  std::vector<float> room(4 * text_width);
  const float* const found = far.host(there->view().data, room.size(), room.data());
  for (std::size_t i = 0; i < room.size(); ++i) EXPECT_EQ(here->view().data[i], found[i]);
  EXPECT_EQ(seen, (std::vector<std::string>{"vision.stem -1 64", "vision.block.0 0 16", "vision.block.1 0 4",
                                            "vision.block.1 1 4", "vision.block.1 2 4", "vision.block.1 3 4",
                                            "vision.block.1 4 4", "vision.tower_out -1 4", "vision.soft_tokens -1 4"}));

  const auto ours = embed_own_ids<eyes, text_width>(near, **w);
  const auto theirs = embed_own_ids<eyes, text_width>(far, **v);
  ASSERT_TRUE(ours && theirs);
  const float* const rows = far.host(theirs->view().rows, room.size(), room.data());
  for (std::size_t i = 0; i < room.size(); ++i) EXPECT_EQ(ours->view().rows[i], rows[i]);
  EXPECT_TRUE(ours->view().has(20) && ours->view().has(23) && !ours->view().has(19) && !ours->view().has(24));
}

TEST(mobilenet, embeds_its_own_ids) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<double> on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto own = embed_own_ids<eyes, text_width>(on, **w);
  ASSERT_TRUE(own);
  const auto named = [&](const char* name) { return t.tensors.at("embed_vision." + std::string(name)).numbers; };
  const auto table = named("embedding.weight"), hard = named("hard_embedding_norm.weight");
  const auto projection = named("embedding_projection.weight");
  const auto root = [](const std::vector<double>& x) {
    double squares = 0;
    for (const double v : x) squares += v * v / static_cast<double>(x.size());
    return std::sqrt(squares + static_cast<double>(1e-6f));
  };
  for (std::size_t id = 0; id < 4; ++id) {
    std::vector<double> e(table.begin() + static_cast<long>(16 * id), table.begin() + static_cast<long>(16 * id + 16));
    std::vector<double> y(text_width);
    const double size = root(e);
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < 16; ++i) y[o] += projection[16 * o + i] * (e[i] / size * hard[i]);
    }
    const double scale = root(y);
    for (std::size_t o = 0; o < y.size(); ++o) EXPECT_NEAR(own->view().rows[id * text_width + o], y[o] / scale, 1e-9);
  }
}

TEST(mobilenet, refuses_pixels_that_are_no_picture_for_it) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<float> on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto why = [&](std::size_t rows, std::size_t columns) {
    std::vector<place> places;
    for (std::size_t i = 0; i < rows * columns; ++i) {
      places.push_back({static_cast<std::int32_t>(i % columns), static_cast<std::int32_t>(i / columns)});
    }
    const std::vector<float> pixels(3 * rows * columns);
    const auto made = run_tower(on, **w, {pixels, places});
    return made ? std::string("it runs") : made.error().message;
  };
  EXPECT_EQ(why(15, 15), "it runs");  // 8, 4, and 2 places on a side
  EXPECT_EQ(why(4, 5), "tower: 20 pixels are no square picture");
  EXPECT_EQ(
      why(2, 8),
      "tower: pixel 4 of a square picture of 4 is at column 4 and row 0; pixels are given in the order of reading");
  EXPECT_EQ(why(12, 12),
            "tower: a picture of 12 x 12 pixels leaves 3 x 3 places to be fused, which are no 2 x 2 squares");
}

TEST(load_mobilenet, says_what_is_wrong_with_a_file) {
  const auto why_not = [](auto&& change) {
    test::random_tower<eyes, text_width> t;
    change(t.tensors);
    backend::reference<float> on;
    const auto w = weights_on(on, t);
    return w ? std::string("it loads") : w.error().message;
  };
  const std::string tower = "vision_tower.timm_model.";
  EXPECT_EQ(why_not([&](auto& t) { t.erase(tower + "blocks.0.0.conv_exp.weight"); }),
            "random tower: the tensor model." + tower + "blocks.0.0.conv_exp.weight [16, 8, 3, 3] is missing");
  EXPECT_EQ(
      why_not([&](auto& t) {
        t[tower + "blocks.1.2.pw_exp.conv.weight"].dims = {4, 16, 1, 1};
      }),
      "random tower: model." + tower + "blocks.1.2.pw_exp.conv.weight is [4, 16, 1, 1]; the tower needs [8, 8, 1, 1]");
  EXPECT_EQ(why_not([&](auto& t) { t[tower + "blocks.2.0.norm.weight"] = t[tower + "msfa.norm.weight"]; }),
            "random tower: the tensor model." + tower + "blocks.2.0.norm.weight [16] is no part of this tower");
}

}  // namespace
}  // namespace g4
