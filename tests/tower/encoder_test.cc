// A picture tower with layers, against its equations written out in double.
#include "g4/model/tower/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/load/tower.h"
#include "g4/media/patches.h"
#include "g4/model/tower/run.h"
#include "g4/variants/gemma4_26b_a4b.h"
#include "g4/variants/gemma4_e2b.h"
#include "tests/support/faraway.h"
#include "tests/support/random_tower.h"
#include "tests/support/small_towers.h"

namespace g4 {
namespace {

constexpr int text_width = 6;
using eyes = test::any_aspect_eyes;

// The released towers: rows and width before each stage.
static_assert(gemma4_vit_small::widths == std::array{0, 0, 768, 768, 768, 768, 768, 768, 768, 0});
static_assert(gemma4_vit_large::widths == std::array{0, 0, 768, 768, 1152, 1152, 1152, 1152, 1152, 1152, 0});
static_assert(gemma4_vit_small::spec.find<stage::encoder>()->clipped);
static_assert(!gemma4_vit_large::spec.find<stage::encoder>()->clipped);
static_assert(gemma4_e2b::can_see && gemma4_26b_a4b::can_see && Variant<gemma4_e2b::text>);
static_assert(rows_made<gemma4_vit_small>(2520) == 280);

using row = std::vector<double>;
using matrix_rows = std::vector<row>;

template <class To, class From>
std::vector<To> part(const std::vector<From>& all, std::size_t first, std::size_t count) {
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(first);
  return {from, from + static_cast<std::ptrdiff_t>(count)};
}

/// The tower by hand, over the tensors of a random one.
class by_hand {
 public:
  explicit by_hand(const test::random_tower<eyes, text_width>& t) : t_(t) {}

  matrix_rows run(const std::vector<float>& pixels, const std::vector<place>& places) {
    matrix_rows x;
    for (std::size_t p = 0; p < places.size(); ++p) {
      row patch = part<double>(pixels, 12 * p, 12);
      for (double& v : patch) v = 2 * (v - 0.5);
      x.push_back(times("vision_tower.patch_embedder.input_proj.weight", patch));
      const auto& table = named("vision_tower.patch_embedder.position_embedding_table");  // [2, 7, 10]
      for (std::size_t i = 0; i < 10; ++i) {
        x[p][i] += static_cast<double>(table[static_cast<std::size_t>(places[p].column) * 10 + i]) +
                   table[static_cast<std::size_t>(7 + places[p].row) * 10 + i];
      }
    }
    for (int l = 0; l < 2; ++l) layer("vision_tower.encoder.layers." + std::to_string(l) + ".", x, places);
    return pooled(x, places);
  }

 private:
  const std::vector<float>& named(const std::string& name) const { return t_.tensors.at(name).numbers; }
  row times(const std::string& name, const row& x) const {
    const auto& w = named(name);
    row y(w.size() / x.size());
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    }
    return y;
  }
  row clipped(const std::string& map, row x) const {
    const auto keep = [&](row& v, const char* low, const char* high) {
      for (double& n : v) n = std::clamp<double>(n, named(map + low)[0], named(map + high)[0]);
    };
    keep(x, ".input_min", ".input_max");
    row y = times(map + ".linear.weight", x);
    keep(y, ".output_min", ".output_max");
    return y;
  }
  row normed(row x, const std::string& weight = {}) const {
    double squares = 0;
    for (const double v : x) squares += v * v / static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] *= 1 / std::sqrt(squares + static_cast<double>(1e-6f)) * (weight.empty() ? 1.0 : named(weight)[i]);
    }
    return x;
  }
  /// Heads of 8, each normed, and its halves turned where there is a place.
  row heads(const row& x, const std::string& weight, const place* at) const {
    row out;
    for (std::size_t h = 0; h < x.size() / 8; ++h) {
      row one = normed(part<double>(x, 8 * h, 8), weight);
      for (std::size_t axis = 0; at != nullptr && axis < 2; ++axis) {
        for (std::size_t i = 0; i < 2; ++i) {
          const double angle = (axis == 0 ? at->column : at->row) * std::pow(30.0, -static_cast<double>(i) / 2);
          double& a = one[axis * 4 + i];
          double& b = one[axis * 4 + i + 2];
          const double before = a;
          a = a * std::cos(angle) - b * std::sin(angle);
          b = b * std::cos(angle) + before * std::sin(angle);
        }
      }
      out.insert(out.end(), one.begin(), one.end());
    }
    return out;
  }
  void layer(const std::string& at, matrix_rows& x, const std::vector<place>& places) const {
    const auto add = [&](row& to, const row& branch, const std::string& norm) {
      const row y = normed(branch, at + norm + ".weight");
      for (std::size_t i = 0; i < to.size(); ++i) to[i] += y[i];
    };
    matrix_rows q, k, v;
    for (std::size_t p = 0; p < x.size(); ++p) {
      const row z = normed(x[p], at + "input_layernorm.weight");
      q.push_back(heads(clipped(at + "self_attn.q_proj", z), at + "self_attn.q_norm.weight", &places[p]));
      k.push_back(heads(clipped(at + "self_attn.k_proj", z), at + "self_attn.k_norm.weight", &places[p]));
      v.push_back(heads(clipped(at + "self_attn.v_proj", z), {}, nullptr));
    }
    for (std::size_t p = 0; p < x.size(); ++p) {
      row mixed(32);
      for (std::size_t h = 0; h < 4; ++h) {
        row score(x.size());
        double sum = 0;
        for (std::size_t o = 0; o < x.size(); ++o) {
          for (std::size_t i = 0; i < 8; ++i) score[o] += q[p][8 * h + i] * k[o][8 * (h / 2) + i];
          sum += score[o] = std::exp(score[o]);
        }
        for (std::size_t o = 0; o < x.size(); ++o) {
          for (std::size_t i = 0; i < 8; ++i) mixed[8 * h + i] += score[o] / sum * v[o][8 * (h / 2) + i];
        }
      }
      add(x[p], clipped(at + "self_attn.o_proj", mixed), "post_attention_layernorm");
    }
    for (row& one : x) {
      const row z = normed(one, at + "pre_feedforward_layernorm.weight");
      row gate = clipped(at + "mlp.gate_proj", z);
      const row up = clipped(at + "mlp.up_proj", z);
      for (std::size_t i = 0; i < gate.size(); ++i) {
        const double g = gate[i];
        gate[i] = g / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g))) * up[i];
      }
      add(one, clipped(at + "mlp.down_proj", gate), "post_feedforward_layernorm");
    }
  }
  matrix_rows pooled(const matrix_rows& x, const std::vector<place>& places) const {
    int across = 0;
    for (const place& p : places) across = std::max(across, p.column + 1);
    matrix_rows out(x.size() / 4, row(10));
    for (std::size_t p = 0; p < x.size(); ++p) {
      const auto square = static_cast<std::size_t>(places[p].row / 2 * (across / 2) + places[p].column / 2);
      for (std::size_t i = 0; i < 10; ++i) out[square][i] += x[p][i] / 4 * std::sqrt(10.0);
    }
    for (row& one : out) {
      for (std::size_t i = 0; i < 10; ++i) {
        one[i] = (one[i] - named("vision_tower.std_bias")[i]) * named("vision_tower.std_scale")[i];
      }
      one = times("embed_vision.embedding_projection.weight", normed(one));
    }
    return out;
  }

  const test::random_tower<eyes, text_width>& t_;
};

/// Places of a picture of 6 × 4 patches, and as many rows.
std::vector<place> some_places() {
  std::vector<place> places;
  for (std::int32_t y = 0; y < 4; ++y) {
    for (std::int32_t x = 0; x < 6; ++x) places.push_back({x, y});
  }
  return places;
}
std::vector<float> some_pixels(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>((i * 37) % 101) / 101.0f;
  return x;
}

template <class B>
auto weights_on(B& on, const test::random_tower<eyes, text_width>& t, load::format f = load::format::safetensors) {
  const auto file = t.file(f);
  return load::make_tower<eyes, text_width>(file, f, on);
}

TEST(encoder, computes_its_equations) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<double> on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto places = some_places();
  const auto x = some_pixels(24 * 12);
  const auto made = run_tower(on, **w, {x, places});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->count(), 6u);
  const matrix_rows wanted = by_hand(t).run(x, places);
  for (std::size_t p = 0; p < 6; ++p) {
    for (std::size_t i = 0; i < text_width; ++i) EXPECT_NEAR(made->view()(p, i), wanted[p][i], 1e-9) << p << ", " << i;
  }
}

TEST(encoder, does_not_care_for_the_order_of_patches) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<double> on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto places = some_places();
  const auto x = some_pixels(24 * 12);
  std::vector<place> turned(places.rbegin(), places.rend());
  std::vector<float> backwards;
  for (std::size_t p = 24; p-- > 0;) {
    const auto patch = part<float>(x, 12 * p, 12);
    backwards.insert(backwards.end(), patch.begin(), patch.end());
  }
  const auto a = run_tower(on, **w, {x, places}), b = run_tower(on, **w, {backwards, turned});
  ASSERT_TRUE(a && b);
  for (std::size_t p = 0; p < 6; ++p) {
    for (std::size_t i = 0; i < text_width; ++i) EXPECT_NEAR(a->view()(p, i), b->view()(p, i), 1e-9);
  }
}

TEST(encoder, of_an_mmproj_file_the_same_as_of_safetensors) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<double> on;
  const auto w = weights_on(on, t), v = weights_on(on, t, load::format::gguf);
  ASSERT_TRUE(w) << w.error().message;
  ASSERT_TRUE(v) << v.error().message;
  std::vector<std::uint8_t> rgb(8 * 12 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 53);
  const media::picture picture{rgb, 8, 12};
  const auto places = media::places_of(picture, 2);
  const auto a = run_tower(on, **w, {media::cut(picture, 2), places});
  const auto b = run_tower(on, **v, {media::cut(picture, 2, (*v)->colours_apart), places});
  ASSERT_TRUE(a && b);
  for (std::size_t p = 0; p < 6; ++p) {
    for (std::size_t i = 0; i < text_width; ++i) EXPECT_NEAR(a->view()(p, i), b->view()(p, i), 1e-9);
  }
}

// A backend that counts what is taken of it.
struct counting : backend::reference<float> {
  std::size_t taken = 0;
  auto take(std::size_t bytes) {
    taken += bytes;
    return backend::reference<float>::take(bytes);
  }
};

TEST(tower_plan, is_what_the_tower_takes) {
  const test::random_tower<eyes, text_width> t;
  counting on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto places = some_places();
  const auto x = some_pixels(24 * 12);
  on.taken = 0;
  ASSERT_TRUE(run_tower(on, **w, {x, places}));
  const tower_plan plan = plan_tower<eyes, text_width>(24, sizeof(float), on.cache_storage());
  EXPECT_EQ(on.taken, plan.total());
  EXPECT_EQ(plan.rows, 6u);
  EXPECT_EQ(plan.out, 6 * text_width * sizeof(float));
  EXPECT_EQ(plan.limits.rows, 24u);
  EXPECT_EQ(plan.limits.columns, 32u);  // of four heads of 8
  EXPECT_EQ(plan.limits.all_heads, 2u);

  // It counts what layers work in, and a size that cannot be counted does not wrap round.
  const tower_plan more = plan_tower<eyes, text_width>(2400, sizeof(float), on.cache_storage());
  EXPECT_GT(more.working, 2400 * (4 * 10 + 3 * 32 + 2 * 14) * sizeof(float));
  const tower_plan absurd = plan_tower<eyes, text_width>(SIZE_MAX / 8, sizeof(float), on.cache_storage());
  EXPECT_GE(absurd.total(), arena::too_much);
}

TEST(encoder, touches_no_number_itself) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<float> near;
  test::faraway<float> far;
  const auto w = weights_on(near, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto places = some_places();
  const auto x = some_pixels(24 * 12);
  std::vector<std::string> seen;
  const tap<float> see{&seen, [](void* self, const tapped<float>& what) {
                         static_cast<std::vector<std::string>*>(self)->push_back(std::string(what.name) + " " +
                                                                                 std::to_string(what.layer) + " " +
                                                                                 std::to_string(what.rows));
                       }};
  const auto here = run_tower(near, **w, {x, places}, see);
  const auto there = run_tower(far, **w, {x, places});
  ASSERT_TRUE(here && there);
  std::vector<float> room(6 * text_width);
  const float* const found = far.host(there->view().data, room.size(), room.data());
  for (std::size_t i = 0; i < room.size(); ++i) EXPECT_EQ(here->view().data[i], found[i]);
  EXPECT_EQ(seen, (std::vector<std::string>{"vision.patch_embed -1 24", "vision.layer 0 24", "vision.layer 1 24",
                                            "vision.tower_out -1 6", "vision.soft_tokens -1 6"}));
}

TEST(encoder, refuses_patches_that_are_no_picture) {
  const test::random_tower<eyes, text_width> t;
  backend::reference<float> on;
  const auto w = weights_on(on, t);
  ASSERT_TRUE(w) << w.error().message;
  const auto why = [&](std::vector<place> places) {
    const auto made = run_tower(on, **w, {some_pixels(places.size() * 12), places});
    return made ? std::string("it runs") : made.error().message;
  };
  std::vector<place> places = some_places();
  EXPECT_EQ(why(places), "it runs");
  places[5] = places[4];
  EXPECT_EQ(why(places),
            "tower: 24 patches in 6 columns and 4 rows; they must fill the picture, each once, and both sides "
            "be multiples of 2");
  EXPECT_EQ(why({{0, 0}, {1, 0}}),
            "tower: 2 patches in 2 columns and 1 rows; they must fill the picture, each once, and "
            "both sides be multiples of 2");
  EXPECT_EQ(why({{0, 0}, {1, 0}, {0, 1}, {7, 1}}),
            "tower: a patch at column 7 and row 1; there are places for 7 on each axis");
}

TEST(load_encoder, bounds_may_be_missing_but_not_wrong) {
  const auto why_not = [](auto&& change) {
    test::random_tower<eyes, text_width> t;
    change(t.tensors);
    backend::reference<float> on;
    const auto w = weights_on(on, t);
    return w ? std::string("it loads") : w.error().message;
  };
  const std::string map = "vision_tower.encoder.layers.1.mlp.up_proj.";
  EXPECT_EQ(why_not([&](auto& t) { t.erase(map + "input_min"); }), "it loads");
  EXPECT_EQ(why_not([&](auto& t) { t[map + "output_max"].numbers[0] = INFINITY; }), "it loads");
  EXPECT_EQ(why_not([&](auto& t) { t[map + "output_max"].numbers[0] = NAN; }),
            "random tower: model." + map + "output_max is not a number");
  EXPECT_EQ(why_not([&](auto& t) { t.erase(map + "linear.weight"); }),
            "random tower: the tensor model." + map + "linear.weight [14, 10] is missing");
  const std::string third = "vision_tower.encoder.layers.2.input_layernorm.weight";
  EXPECT_EQ(why_not([&](auto& t) { t[third] = t["vision_tower.std_bias"]; }),
            "random tower: the tensor model." + third + " [10] is no part of this tower");
}

}  // namespace
}  // namespace g4
