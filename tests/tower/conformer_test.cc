// The sound towers of Gemma 3n and 4: their stages against their equations written out in double, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/load/tower.h"
#include "g4/load/tower_text.h"
#include "g4/model/tower/run.h"
#include "g4/ops/attend_near.h"
#include "g4/ops/convolve.h"
#include "g4/ops/cumulative_norm.h"
#include "g4/variants/gemma3n_conformer.h"
#include "g4/variants/gemma4_conformer.h"
#include "tests/support/faraway.h"
#include "tests/support/random_tower.h"
#include "tests/support/small_towers.h"
#include "tests/support/small_towers.h"

namespace g4 {
namespace {

constexpr int text_width = 10;
using small_conformer = test::conformer_ears;

static_assert(small_conformer::widths == std::array{0, 0, 8, 6, 12, 12, 14, 0});
static_assert(gemma4_conformer::widths == std::array{0, 0, 128, 1024, 1024, 1024, 1536, 0});
static_assert(stage_of<gemma4_conformer, 4>.distances() == 13 && gemma4_conformer::input_width == 128);

using cumulative = test::cumulative_ears;

static_assert(cumulative::widths == std::array{0, 0, 8, 6, 12, 12, 12, 0});
static_assert(gemma3n_conformer::widths == std::array{0, 0, 128, 1024, 1536, 1536, 1536, 0});
// Thirteen keys, each with its distance; thirty seconds are 2997 frames and 188 rows.
static_assert(stage_of<gemma3n_conformer, 4>.distances() == 13 && stage_of<gemma3n_conformer, 4>.self() == 12);
static_assert(rows_made<gemma3n_conformer>(2997) == 188);

std::vector<float> some_features(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>((i * 37) % 101) / 50.0f - 1.0f;
  return x;
}
template <class B>
std::vector<typename B::scalar> rows_of(B& on, const soft_rows<B, text_width>& made) {
  std::vector<typename B::scalar> room(made.count() * text_width);
  const auto* const seen = on.host(made.view().data, room.size(), room.data());
  return {seen, seen + room.size()};
}
/// What a small tower makes of so many frames, on a backend; `padding` of them come behind the sound.
template <class T = small_conformer, class B>
std::vector<typename B::scalar> heard(B& on, const io::tensor_file& file, load::format f, const std::vector<float>& x,
                                      std::size_t padding = 0) {
  const auto w = load::make_tower<T, text_width>(file, f, on);
  if (!w) return ADD_FAILURE() << w.error().message, std::vector<typename B::scalar>{};
  const auto made = run_tower(on, **w, {x, {}, padding});
  if (!made) return ADD_FAILURE() << made.error().message, std::vector<typename B::scalar>{};
  return rows_of(on, *made);
}

TEST(conformer, makes_a_quarter_of_the_frames) {
  const test::random_tower<small_conformer, text_width> t;
  const auto file = t.file();
  backend::reference<float> on;
  for (const auto& [frames, rows] : {std::pair{1u, 1u}, {2u, 1u}, {4u, 1u}, {5u, 2u}, {8u, 2u}, {9u, 3u}, {33u, 9u}}) {
    EXPECT_EQ(heard(on, file, load::format::safetensors, some_features(8 * frames)).size(), rows * text_width) << frames;
  }
}

TEST(conformer, hears_nothing_of_what_comes_later_than_it_looks_ahead) {
  const test::random_tower<small_conformer, text_width> t;
  const auto file = t.file();
  backend::reference<double> on;
  std::vector<float> x = some_features(8 * 64);
  const auto before = heard(on, file, load::format::safetensors, x);
  for (std::size_t i = 8 * 60; i < x.size(); ++i) x[i] += 1;
  const auto after = heard(on, file, load::format::safetensors, x);
  // Row r is made of frames up to 4·r + 3, and each of two layers looks one row ahead.
  for (std::size_t i = 0; i < 12 * text_width; ++i) EXPECT_EQ(before[i], after[i]) << i;
  EXPECT_NE(before[13 * text_width], after[13 * text_width]);
}

TEST(conformer, of_an_mmproj_file_the_same_as_of_safetensors) {
  test::random_tower<small_conformer, text_width> t;
  const auto file = t.file();
  for (auto& [name, tensor] : t.tensors) {
    if (!name.ends_with("per_dim_scale")) continue;
    for (float& x : tensor.turned) x = ops::softplus(x);  // such files hold it taken already
  }
  const auto second = t.file(load::format::gguf);
  backend::reference<double> on;
  const std::vector<float> x = some_features(8 * 30);
  const auto a = heard(on, file, load::format::safetensors, x), b = heard(on, second, load::format::gguf, x);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
}

TEST(conformer, touches_no_number_itself) {
  const test::random_tower<small_conformer, text_width> t;
  const auto file = t.file();
  backend::reference<float> near;
  test::faraway<float> far;
  const std::vector<float> x = some_features(8 * 21);
  EXPECT_EQ(heard(near, file, load::format::safetensors, x), heard(far, file, load::format::safetensors, x));
}

TEST(conformer, bounds_that_a_file_does_not_have_hold_nothing) {
  test::random_tower<small_conformer, text_width> t;
  const auto is_bound = [](const auto& one) { return one.first.ends_with("_min") || one.first.ends_with("_max"); };
  backend::reference<float> on;
  const std::vector<float> x = some_features(8 * 16);
  for (auto& [name, tensor] : t.tensors) {
    if (name.ends_with("_min")) tensor.numbers = {-INFINITY};
    if (name.ends_with("_max")) tensor.numbers = {INFINITY};
  }
  const auto infinite = heard(on, t.file(), load::format::safetensors, x);
  std::erase_if(t.tensors, is_bound);
  EXPECT_EQ(heard(on, t.file(), load::format::safetensors, x), infinite);
  for (auto& [name, tensor] : t.tensors) ASSERT_FALSE(is_bound(std::pair{name, 0}));
}

TEST(cumulative_conformer, makes_one_row_of_three_quarters) {
  const test::random_tower<cumulative, text_width> t;
  const auto file = t.file();
  backend::reference<float> on;
  const auto rows = [&](std::size_t frames, std::size_t padding) {
    return heard<cumulative>(on, file, load::format::safetensors, some_features(8 * frames), padding).size() /
           text_width;
  };
  for (const auto& [frames, made] : {std::pair{1u, 1u}, {2u, 1u}, {12u, 1u}, {13u, 2u}, {24u, 2u}, {25u, 3u}}) {
    EXPECT_EQ(rows(frames, 0), made) << frames;
    EXPECT_EQ(rows(frames + 9, 9), made) << frames;  // nothing is made of padding
  }
}

TEST(cumulative_conformer, looks_into_its_padding_and_no_further_back_than_its_beginning) {
  const test::random_tower<cumulative, text_width> t;
  const auto file = t.file();
  backend::reference<double> on;
  const auto f = load::format::safetensors;
  std::vector<float> x = some_features(8 * 36);
  const auto whole = heard<cumulative>(on, file, f, x, 7);  // 29 frames are 8 rows; the last looks at frames 28 … 34
  ASSERT_EQ(whole.size(), 3u * text_width);
  x[8 * 35] += 3;
  EXPECT_EQ(heard<cumulative>(on, file, f, x, 7), whole);
  x[8 * 31] += 3;  // row 7 is not kept, and no other sees it
  EXPECT_EQ(heard<cumulative>(on, file, f, x, 7), whole);
  x = some_features(8 * 36);
  const auto kept = heard<cumulative>(on, file, f, x, 11);  // 25 frames are 7 rows, of which row 6 is kept
  x[8 * 28] += 3;
  const auto other = heard<cumulative>(on, file, f, x, 11);
  for (std::size_t i = 0; i < 2 * text_width; ++i) EXPECT_EQ(kept[i], other[i]) << i;
  EXPECT_NE(kept[2 * text_width], other[2 * text_width]);
}

TEST(cumulative_conformer, touches_no_number_itself_and_is_the_same_of_either_format) {
  test::random_tower<cumulative, text_width> t;
  const auto file = t.file();
  backend::reference<float> near;
  test::faraway<float> far;
  const std::vector<float> x = some_features(8 * 21);
  const auto a = heard<cumulative>(near, file, load::format::safetensors, x);
  EXPECT_EQ(a, heard<cumulative>(far, file, load::format::safetensors, x));
  for (auto& [name, tensor] : t.tensors) {
    if (!name.ends_with("per_dim_scale")) continue;
    for (float& number : tensor.turned) number = ops::softplus(number);
  }
  const auto b = heard<cumulative>(near, t.file(load::format::gguf), load::format::gguf, x);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5f);
}

TEST(cumulative_conformer, refuses_a_sound_that_is_all_padding) {
  const test::random_tower<cumulative, text_width> t;
  const auto file = t.file();
  backend::reference<float> on;
  const auto w = load::make_tower<cumulative, text_width>(file, load::format::safetensors, on);
  ASSERT_TRUE(w) << w.error().message;
  const std::vector<float> x = some_features(8 * 4);
  const auto made = run_tower(on, **w, {x, {}, 4});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "tower: 4 of 4 rows are padding; a sound has at least one that is not");
}

template <class Change>
std::string why_not(Change&& change) {
  test::random_tower<small_conformer, text_width> t;
  change(t.tensors);
  backend::reference<float> on;
  const auto w = load::make_tower<small_conformer, text_width>(t.file(), load::format::safetensors, on);
  return w ? "it loads" : w.error().message;
}

TEST(conformer, names_what_is_missing_wrong_or_unknown) {
  EXPECT_EQ(why_not([](auto&) {}), "it loads");
  EXPECT_EQ(why_not([](auto& t) { t.erase("audio_tower.layers.1.lconv1d.depthwise_conv1d.weight"); }),
            "random tower: the tensor model.audio_tower.layers.1.lconv1d.depthwise_conv1d.weight [12, 1, 3] is missing");
  EXPECT_EQ(why_not([](auto& t) {
              t["audio_tower.subsample_conv_projection.layer1.conv.weight"].dims = {3, 3, 3, 8};
            }),
            "random tower: model.audio_tower.subsample_conv_projection.layer1.conv.weight is [3, 3, 3, 8]; the tower "
            "needs [3, 8, 3, 3]");
  EXPECT_EQ(why_not([](auto& t) { t["audio_tower.layers.2.norm_out.weight"] = t["audio_tower.layers.1.norm_out.weight"]; }),
            "random tower: the tensor model.audio_tower.layers.2.norm_out.weight [12] is no part of this tower");
  EXPECT_EQ(why_not([](auto& t) { t["audio_tower.layers.0.self_attn.q_proj.input_max"].numbers = {NAN}; }),
            "random tower: model.audio_tower.layers.0.self_attn.q_proj.input_max is not a number");
  EXPECT_EQ(why_not([](auto& t) {
              for (float& x : t["audio_tower.layers.0.self_attn.per_dim_scale"].numbers) x = 0;
            }),
            "it loads");
}

TEST(conformer, as_a_variant_writes_it) {
  EXPECT_EQ(load::stage_text(gemma4_conformer::spec.stages[4]),
            "conformer<layers{12}, relative_attention{.heads = 8}, light_conv{.side = 5}, clipped_linears>");
  EXPECT_EQ(load::stage_text(gemma4_conformer::spec.stages[2]), "subsample{.first = 128, .second = 32}");
}

// ---- Its operations ----------------------------------------------------------------------------------------------------

TEST(unfold, squares_of_a_plane_with_noughts_around_it) {
  const std::vector<double> x{1, 2, 3, 4, 5, 6};  // [3, 2, 1]
  const ops::squares s{3, 2, 1, 3, 2};
  ASSERT_EQ(s.rows(), 2u);
  ASSERT_EQ(s.columns(), 1u);
  std::vector<double> y(2 * 9);
  ops::unfold(x.data(), s, 0, 2, y.data());
  EXPECT_EQ(y, (std::vector<double>{0, 0, 0, 0, 1, 2, 0, 3, 4, 0, 3, 4, 0, 5, 6, 0, 0, 0}));
  std::vector<double> second(9);
  ops::unfold(x.data(), s, 1, 1, second.data());
  EXPECT_EQ(second, std::vector<double>(y.begin() + 9, y.end()));
}

TEST(unfold, squares_that_begin_with_the_plane_look_ahead) {
  const std::vector<double> x{1, 2, 3, 4, 5, 6};  // [3, 2, 1]
  ops::squares s{3, 2, 1, 3, 2};
  s.top = 0;
  std::vector<double> y(2 * 9);
  ops::unfold(x.data(), s, 0, 2, y.data());
  EXPECT_EQ(y, (std::vector<double>{0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 5, 6, 0, 0, 0, 0, 0, 0}));
}

TEST(cumulative_norm, is_what_its_equations_say) {
  constexpr std::size_t T = 4, places = 3, channels = 2, width = places * channels;
  std::vector<double> x(T * width), y(T * width), mean(T), var(T);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>((i * 29 + 3) % 23) / 5 - 2;
  const std::vector<float> weight{0.5f, 2.0f};
  const ops::cumulative_norm n{places, channels, 0.25f, weight.data()};
  const auto each = [](auto&& of_row) {
    for (const std::size_t t : {2u, 0u, 3u, 1u}) of_row(t);  // in any order
  };
  ops::norm_cumulatively(n, x.data(), T, mean.data(), var.data(), y.data(), each);
  double squares = 0;
  for (std::size_t t = 0; t < T; ++t) {
    const auto count = static_cast<double>((t + 1) * width);
    double m = 0;
    for (std::size_t i = 0; i < (t + 1) * width; ++i) m += x[i] / count;
    for (std::size_t i = t * width; i < (t + 1) * width; ++i) squares += (x[i] - m) * (x[i] - m);
    for (std::size_t i = 0; i < width; ++i) {
      const double expected = (x[t * width + i] - m) / std::sqrt(squares / count + 0.25) * (i % 2 == 0 ? 0.5 : 2.0);
      EXPECT_NEAR(y[t * width + i], expected, 1e-12) << t << ' ' << i;
    }
  }
}

TEST(convolve_back, sees_the_rows_before) {
  const std::vector<double> x{1, 10, 2, 20, 3, 30};  // [3, 2]
  const std::vector<float> kernel{1, 2, 4, 0.5f, 0, 1};
  std::vector<double> y(6);
  ops::convolve_back(x.data(), kernel.data(), 0, 3, 2, 3, y.data());
  EXPECT_EQ(y, (std::vector<double>{4, 10, 10, 20, 17, 35}));
}

TEST(attend_near, is_what_its_equations_say) {
  constexpr std::size_t T = 7, H = 2, d = 3, past = 3, ahead = 2, P = 4;
  const auto numbers = [](std::size_t n, std::size_t seed) {
    std::vector<double> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<double>((i * 29 + seed) % 23) / 11 - 1;
    return x;
  };
  const auto q = numbers(T * H * d, 1), k = numbers(T * H * d, 5), v = numbers(T * H * d, 9), r = numbers(P * H * d, 3);
  const std::vector<float> per{0.5f, -1.0f, 2.0f};
  std::vector<double> out(T * H * d);
  ops::near_attention<double> a{T,    H,        d,        past,     ahead,    P,          past,  0.7f,      1.5f,
                                2.0f, q.data(), k.data(), v.data(), r.data(), per.data(), false, out.data()};
  ops::attend_near(a, 0, T);
  for (std::size_t t = 0; t < T; ++t) {
    for (std::size_t h = 0; h < H; ++h) {
      std::vector<double> weight(T, 0.0);
      double sum = 0;
      for (std::size_t s = 0; s < T; ++s) {
        const int away = static_cast<int>(t) - static_cast<int>(s);
        if (away >= static_cast<int>(past) || -away >= static_cast<int>(ahead)) continue;
        double z = 0;
        for (std::size_t i = 0; i < d; ++i) {
          const double scaled = q[(t * H + h) * d + i] * static_cast<double>(0.7f) * std::log1p(std::exp(double{per[i]}));
          const int row = static_cast<int>(past) - away;
          z += scaled * (k[(s * H + h) * d + i] * 1.5 +
                         (row < static_cast<int>(P) ? r[(static_cast<std::size_t>(row) * H + h) * d + i] : 0.0));
        }
        sum += weight[s] = std::exp(2 * std::tanh(z / 2));
      }
      for (std::size_t i = 0; i < d; ++i) {
        double y = 0;
        for (std::size_t s = 0; s < T; ++s) y += weight[s] / sum * v[(s * H + h) * d + i];
        EXPECT_NEAR(out[(t * H + h) * d + i], y, 1e-12) << t << ' ' << h << ' ' << i;
      }
    }
  }
}

}  // namespace
}  // namespace g4
