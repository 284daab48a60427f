// What a tower computes, against the equations written out in double.
#include "g4/model/tower/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/load/tower.h"
#include "g4/media/patches.h"
#include "tests/support/faraway.h"
#include "tests/support/random_tower.h"

namespace g4 {
namespace {

constexpr int text_width = 10;
struct small_patches : tower<picture::any_aspect{.side = 4}, patches{.side = 4}, norm::layer,
                             embed::linear<width{8}, biased>, norm::layer, positions::per_axis{6}, norm::layer,
                             into_text<norm::unweighted>> {};
struct small_frames : tower<sound::waveform{.rate = 16'000}, frames{.samples = 12}, into_text<norm::unweighted>> {};

using numbers = std::vector<double>;

numbers layer_norm(const numbers& x, const std::vector<float>& weight, const std::vector<float>& bias) {
  double mean = 0, variance = 0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
  numbers y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    y.push_back((x[i] - mean) / std::sqrt(variance + static_cast<double>(1e-5f)) * weight[i] + bias[i]);
  }
  return y;
}
numbers times(const std::vector<float>& w, const numbers& x) {
  numbers y(w.size() / x.size());
  for (std::size_t o = 0; o < y.size(); ++o) {
    for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
  }
  return y;
}
numbers into_text_by_hand(const std::vector<float>& w, numbers x) {
  double squares = 0;
  for (const double v : x) squares += v * v / static_cast<double>(x.size());
  for (double& v : x) v /= std::sqrt(squares + static_cast<double>(1e-6f));
  return times(w, x);
}

template <class Scalar>
std::vector<Scalar> on_host(const rows<text_width, Scalar>& r) {
  return {r.data, r.data + r.count * text_width};
}

const std::vector<place> three_places{{0, 0}, {5, 1}, {2, 3}};
std::vector<float> some_rows(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>((i * 37) % 101) / 101.0f;
  return x;
}

TEST(patches, straight_into_the_text) {
  const test::random_tower<small_patches, text_width> t;
  const auto file = t.file();
  backend::reference<double> on;
  const auto w = load::make_tower<small_patches, text_width>(file, load::format::safetensors, on);
  ASSERT_TRUE(w) << w.error().message;
  const std::vector<float> x = some_rows(3 * 48);
  const auto made = run_tower(on, **w, {x, three_places});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->count(), 3u);

  const auto named = [&](const std::string& name) { return t.tensors.at("vision_embedder." + name).numbers; };
  for (std::size_t p = 0; p < 3; ++p) {
    numbers row(x.begin() + static_cast<std::ptrdiff_t>(48 * p), x.begin() + static_cast<std::ptrdiff_t>(48 * (p + 1)));
    row = layer_norm(row, named("patch_ln1.weight"), named("patch_ln1.bias"));
    row = times(named("patch_dense.weight"), row);
    for (std::size_t i = 0; i < 8; ++i) row[i] += named("patch_dense.bias")[i];
    row = layer_norm(row, named("patch_ln2.weight"), named("patch_ln2.bias"));
    const std::vector<float> table = named("pos_embedding");  // [6, 2, 8]
    for (std::size_t i = 0; i < 8; ++i) {
      row[i] += table[(2 * static_cast<std::size_t>(three_places[p].column)) * 8 + i] +
                static_cast<double>(table[(2 * static_cast<std::size_t>(three_places[p].row) + 1) * 8 + i]);
    }
    row = layer_norm(row, named("pos_norm.weight"), named("pos_norm.bias"));
    row = into_text_by_hand(t.tensors.at("embed_vision.embedding_projection.weight").numbers, row);
    for (std::size_t i = 0; i < text_width; ++i) {
      EXPECT_NEAR(made->view()(p, i), row[i], 1e-12) << "patch " << p << ", number " << i;
    }
  }
}

TEST(frames, straight_into_the_text) {
  const test::random_tower<small_frames, text_width> t;
  const auto file = t.file();
  backend::reference<double> on;
  const auto w = load::make_tower<small_frames, text_width>(file, load::format::safetensors, on);
  ASSERT_TRUE(w) << w.error().message;
  const std::vector<float> x = some_rows(2 * 12);
  const auto made = run_tower(on, **w, {x});
  ASSERT_TRUE(made) << made.error().message;
  for (std::size_t p = 0; p < 2; ++p) {
    const numbers row = into_text_by_hand(
        t.tensors.at("embed_audio.embedding_projection.weight").numbers,
        numbers(x.begin() + static_cast<std::ptrdiff_t>(12 * p), x.begin() + static_cast<std::ptrdiff_t>(12 * (p + 1))));
    for (std::size_t i = 0; i < text_width; ++i) EXPECT_NEAR(made->view()(p, i), row[i], 1e-12);
  }
}

TEST(patches, of_an_mmproj_file_the_same_as_of_safetensors) {
  const test::random_tower<small_patches, text_width> t;
  const auto file = t.file();
  const auto second = t.file(load::format::gguf);
  backend::reference<double> on;
  const auto w = load::make_tower<small_patches, text_width>(file, load::format::safetensors, on);
  const auto v = load::make_tower<small_patches, text_width>(second, load::format::gguf, on);
  ASSERT_TRUE(w) << w.error().message;
  ASSERT_TRUE(v) << v.error().message;
  EXPECT_FALSE((*w)->colours_apart);
  EXPECT_TRUE((*v)->colours_apart);

  std::vector<std::uint8_t> rgb(4 * 12 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 53);
  const media::picture picture{rgb, 4, 12};
  const std::vector<place> places{{0, 0}, {1, 0}, {2, 0}};
  const auto a = run_tower(on, **w, {media::cut(picture, 4), places});
  const auto b = run_tower(on, **v, {media::cut(picture, 4, true), places});
  ASSERT_TRUE(a && b);
  for (std::size_t p = 0; p < 3; ++p) {
    for (std::size_t i = 0; i < text_width; ++i) EXPECT_NEAR(a->view()(p, i), b->view()(p, i), 1e-12);
  }
}

TEST(tower, touches_no_number_itself) {
  const test::random_tower<small_patches, text_width> t;
  const auto file = t.file();
  backend::reference<float> near;
  test::faraway<float> far;
  const auto w = load::make_tower<small_patches, text_width>(file, load::format::safetensors, near);
  ASSERT_TRUE(w) << w.error().message;
  const std::vector<float> x = some_rows(3 * 48);
  const auto here = run_tower(near, **w, {x, three_places});
  const auto there = run_tower(far, **w, {x, three_places});
  ASSERT_TRUE(here && there);
  std::vector<float> room(3 * text_width);
  const float* const seen = far.host(there->view().data, room.size(), room.data());
  EXPECT_EQ(on_host(here->view()), std::vector<float>(seen, seen + room.size()));
}

TEST(tower, shows_what_each_stage_leaves) {
  const test::random_tower<small_patches, text_width> t;
  const auto file = t.file();
  backend::reference<float> on;
  const auto w = load::make_tower<small_patches, text_width>(file, load::format::safetensors, on);
  ASSERT_TRUE(w) << w.error().message;
  std::vector<std::string> seen;
  const tap<float> see{&seen, [](void* self, const tapped<float>& what) {
                         static_cast<std::vector<std::string>*>(self)->push_back(
                             std::string(what.name) + " " + std::to_string(what.rows) + " " + std::to_string(what.width));
                       }};
  ASSERT_TRUE(run_tower(on, **w, {some_rows(3 * 48), three_places}, see));
  EXPECT_EQ(seen, (std::vector<std::string>{"vision.patch_ln1 3 48", "vision.patch_dense 3 8", "vision.patch_ln2 3 8",
                                            "vision.pos_embedding 3 8", "vision.pos_norm 3 8",
                                            "vision.soft_tokens 3 10"}));
}

TEST(tower, refuses_what_it_cannot_be_given) {
  const test::random_tower<small_patches, text_width> t;
  const auto file = t.file();
  backend::reference<float> on;
  const auto w = load::make_tower<small_patches, text_width>(file, load::format::safetensors, on);
  ASSERT_TRUE(w) << w.error().message;
  const std::vector<float> x = some_rows(48);
  const auto why = [&](const tower_input& in) {
    const auto made = run_tower(on, **w, in);
    return made ? std::string("it runs") : made.error().message;
  };
  EXPECT_EQ(why({}), "tower: 0 numbers are no rows of 48");
  EXPECT_EQ(why({std::span(x).first(47)}), "tower: 47 numbers are no rows of 48");
  EXPECT_EQ(why({x}), "tower: 1 patches and 0 places");
  const std::vector<place> beyond{{6, 0}};
  EXPECT_EQ(why({x, beyond}), "tower: a patch at column 6 and row 0; there are places for 6 on each axis");
  const std::vector<place> padding{{-1, -1}};
  EXPECT_EQ(why({x, padding}), "tower: a patch at column -1 and row -1; there are places for 6 on each axis");
}

// ---- Loading -----------------------------------------------------------------------------------------------------------

template <class Change>
std::string why_not(Change&& change) {
  test::random_tower<small_patches, text_width> t;
  change(t.tensors);
  const auto file = t.file();
  backend::reference<float> on;
  const auto w = load::make_tower<small_patches, text_width>(file, load::format::safetensors, on);
  return w ? "it loads" : w.error().message;
}

TEST(load_tower, names_what_is_missing_wrong_or_unknown) {
  EXPECT_EQ(why_not([](auto&) {}), "it loads");
  EXPECT_EQ(why_not([](auto& t) { t.erase("vision_embedder.patch_dense.bias"); }),
            "random tower: the tensor model.vision_embedder.patch_dense.bias [8] is missing");
  EXPECT_EQ(why_not([](auto& t) { t["vision_embedder.patch_ln2.weight"].dims = {2, 4}; }),
            "random tower: model.vision_embedder.patch_ln2.weight is [2, 4]; the tower needs [8]");
  EXPECT_EQ(why_not([](auto& t) { t["vision_embedder.pos_embedding"].dims = {2, 6, 8}; }),
            "random tower: model.vision_embedder.pos_embedding is [2, 6, 8]; the tower needs [6, 2, 8]");
  EXPECT_EQ(why_not([](auto& t) { t["embed_vision.gate.weight"] = t["vision_embedder.patch_ln2.weight"]; }),
            "random tower: the tensor model.embed_vision.gate.weight [8] is no part of this tower");
  EXPECT_NE(why_not([](auto& t) { t["vision_embedder.patch_dense.weight"].numbers[5] = NAN; }).find("patch_dense"),
            std::string::npos);
  EXPECT_NE(why_not([](auto& t) {
              for (float& x : t["vision_embedder.patch_ln1.weight"].numbers) x = 0;
            }).find("patch_ln1"),
            std::string::npos);
  EXPECT_EQ(why_not([](auto& t) {
              for (float& x : t["vision_embedder.patch_ln1.bias"].numbers) x = 0;
            }),
            "it loads");
}

}  // namespace
}  // namespace g4
