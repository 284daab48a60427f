// Which variant a file is, and what the differences read like.
#include "g4/load/match.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "g4/load/config.h"
#include "g4/variants/all.h"
#include "tests/load/configs.h"

namespace g4::load {
namespace {

using lines = std::vector<std::string>;

static_assert(variant_name<gemma3_270m>() == "gemma3_270m");
static_assert(variant_name<gemma4_26b_a4b_assistant>() == "gemma4_26b_a4b_assistant");

TEST(differences, between_a_variant_and_itself_are_none) {
  EXPECT_EQ(differences(gemma4_e2b::text::spec, gemma4_e2b::text::spec), lines{});
}

TEST(differences, in_one_number_name_it) {
  text_spec file = gemma3_270m::spec;
  file.vocab = 262'145;
  EXPECT_EQ(differences(file, gemma3_270m::spec, "gemma3_270m"),
            (lines{"vocab: the file has 262145, gemma3_270m has 262144"}));
}

TEST(differences, in_depth_do_not_list_layers) {
  EXPECT_EQ(differences(gemma3_1b::spec, gemma3_270m::spec, "gemma3_270m"),
            (lines{"layers: the file has 26, gemma3_270m has 18", "width: the file has 1152, gemma3_270m has 640"}));
}

TEST(differences, in_several_layers_share_a_line) {
  text_spec file = gemma3_270m::spec;
  for (const int l : {0, 1, 2, 4, 7, 8}) file.layer[l].keys = {255, 0};
  file.layer[5].hidden = 1024;
  EXPECT_EQ(differences(file, gemma3_270m::spec, "gemma3_270m"),
            (lines{"window of layers 0-2, 4 and 7-8: the file has 256 keys, gemma3_270m has 512 keys",
                   "feed-forward width of layer 5: the file has 1024, gemma3_270m has 2048"}));
}

TEST(differences, in_choices_read_as_words) {
  text_spec file = gemma4_e2b::text::spec;
  file.sees = visibility::images_on_local;
  file.tied_head = false;
  file.layer[4].rope.fraction = 0.5f;
  file.logit_cap = 0;
  EXPECT_EQ(
      differences(file, gemma4_e2b::text::spec, "gemma4_e2b"),
      (lines{
          "attention mask: the file has images see themselves in local layers, gemma4_e2b has causal",
          "tied head: the file has no, gemma4_e2b has yes",
          "soft cap of logits: the file has 0, gemma4_e2b has 30",
          "rope of layer 4: the file has theta 1e6, factor 1, fraction 0.5, gemma4_e2b has theta 1e6, factor 1, fraction 0.25"}));
}

/// Another value of a field's type.
void change(int& x) { x += 2; }
void change(float& x) { x = x * 2 + 0.25f; }
void change(bool& x) { x = !x; }
void change(reach& x) { x = x == reach::local ? reach::global : reach::local; }
void change(cache_role& x) { x = x == cache_role::owner ? cache_role::reuser : cache_role::owner; }
void change(visibility& x) { x = x == visibility::causal ? visibility::everything : visibility::causal; }
void change(activation_kind& x) { x = x == activation_kind::own ? activation_kind::gelu_tanh : activation_kind::own; }
void change(key_span& x) { ++x.back; }
void change(rope_spec& x) { x.fraction /= 2; }
template <class Part>
void change(maybe<Part>& x) {
  x = x ? maybe<Part>() : maybe<Part>(Part{});
}

TEST(differences, in_any_single_field_are_noticed) {
  for (const text_spec* variant : {&gemma4_e2b::text::spec, &gemma3n_e2b::text::spec, &gemma4_26b_a4b::text::spec}) {
    text_spec::each_field([&](const auto& f) {
      text_spec file = *variant;
      change(file.*f.member);
      // The heads of all layers are told by the layers.
      EXPECT_EQ(differences(file, *variant).empty(), f.when != compared::always) << f.name;
    });
    layer_kind::each_field([&](const auto& f) {
      text_spec file = *variant;
      change(file.layer[3].*f.member);
      EXPECT_EQ(differences(file, *variant).empty(), f.when != compared::always) << f.name;
    });
  }
}

/// Of a part that both have, each field.
template <class Part>
void each_field_of(maybe<Part> stack_spec::* member, const text_spec& variant) {
  Part::each_field([&](const auto& f) {
    text_spec file = variant;
    change((file.*member).part.*f.member);
    EXPECT_EQ(differences(file, variant).size(), 1u) << f.name;
  });
}
template <class Part>
void each_field_of(maybe<Part> text_spec::* member, const text_spec& variant) {
  Part::each_field([&](const auto& f) {
    text_spec file = variant;
    change((file.*member).part.*f.member);
    EXPECT_EQ(differences(file, variant).size(), 1u) << f.name;
  });
}

TEST(differences, in_any_field_of_a_part_are_noticed) {
  each_field_of(&stack_spec::experts, gemma4_26b_a4b::text::spec);
  each_field_of(&stack_spec::altup, gemma3n_e2b::text::spec);
  each_field_of(&stack_spec::laurel, gemma3n_e2b::text::spec);
  each_field_of(&stack_spec::per_layer, gemma4_e2b::text::spec);
  each_field_of(&text_spec::target, gemma4_e2b_assistant::spec);
  each_field_of(&text_spec::clusters, gemma4_e2b_assistant::spec);
}

TEST(differences, in_a_part_read_as_a_whole) {
  text_spec file = gemma4_26b_a4b::text::spec;
  file.experts = experts_spec{128, 4, 704};
  EXPECT_EQ(differences(file, gemma4_26b_a4b::text::spec, "gemma4_26b_a4b"),
            (lines{"experts: the file has count 128, chosen 4, width 704, gemma4_26b_a4b has count 128, chosen 8, width 704"}));
  file.experts = {};
  EXPECT_EQ(differences(file, gemma4_26b_a4b::text::spec, "gemma4_26b_a4b"),
            (lines{"experts: the file has none, gemma4_26b_a4b has count 128, chosen 8, width 704"}));
}

inline constexpr struct squared_relu_t {
  template <class Scalar>
  constexpr Scalar operator()(Scalar x) const {
    return x > 0 ? x * x : Scalar(0);
  }
} squared_relu{};
struct with_its_own_activation : transformer<
    shape{.layers = 18, .width = 640, .vocab = 262'144},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 1}, qk_norm, scaled_by_root_of{256}>,
    repeat<times<5, local<head{256}, window{512}, rope{.theta = 1e4f}>>,
           times<1, global<head{256}, rope{.theta = 1e6f}>>>,
    feed::gated<squared_relu, hidden{2048}>,
    logits::uncapped> {};

TEST(differences, in_the_activation_are_noticed) {
  EXPECT_EQ(differences(gemma3_270m::spec, with_its_own_activation::spec, "mine"),
            (lines{"activation: the file has gelu_tanh, mine has its own"}));
}

TEST(differences, of_a_float_in_the_last_place_are_none) {
  text_spec file = gemma3_270m::spec;
  file.query_scale = std::nextafter(file.query_scale, 1.0f);
  EXPECT_EQ(differences(file, gemma3_270m::spec), lines{});
}

TEST(laxity, about_images_forgives_their_mask_but_no_encoder) {
  text_spec file = gemma3_4b::text::spec;
  file.sees = visibility::causal;
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b", {.images = true}), lines{});
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b").size(), 1u);
  file.sees = visibility::everything;
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b", {.images = true}).size(), 1u);
}

TEST(laxity, about_rows_forgives_a_few_missing_ones_only) {
  text_spec file = gemma3_4b::text::spec;
  file.vocab = 262'144;
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b", {.fewer_rows = true}), lines{});
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b").size(), 1u);
  file.vocab = 262'209;
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b", {.fewer_rows = true}).size(), 1u);
  file.vocab = 256'000;
  EXPECT_EQ(differences(file, gemma3_4b::text::spec, "gemma3_4b", {.fewer_rows = true}).size(), 1u);
}

TEST(nearest, variant_of_a_released_file_is_that_variant) {
  const auto check = []<class... V>(one_of<V...>) {
    const auto one = [](const text_spec& spec, std::string_view name) {
      const nearest_variant found = nearest<V...>(spec);
      EXPECT_EQ(found.name, name);
      EXPECT_TRUE(found.differences.empty()) << name;
    };
    (one(V::spec, variant_name<V>()), ...);
  };
  check(all_variants{});
  check(all_drafters{});
}

TEST(nearest, variant_of_another_model_comes_with_what_is_different) {
  const auto file = small("g4_dense");
  ASSERT_TRUE(file);
  const nearest_variant found = nearest<gemma3_270m, gemma4_31b::text, gemma4_e2b::text>(*file);
  EXPECT_EQ(found.name, "gemma4_31b");
  EXPECT_EQ(found.index, 1u);
  EXPECT_EQ(found.differences.front(), "layers: the file has 6, gemma4_31b has 60");
}

}  // namespace
}  // namespace g4::load
