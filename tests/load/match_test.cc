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
  EXPECT_EQ(differences(gemma4_e2b::spec, gemma4_e2b::spec), lines{});
}

TEST(differences, in_one_number_name_it) {
  model_spec file = gemma3_270m::spec;
  file.vocab = 262'145;
  EXPECT_EQ(differences(file, gemma3_270m::spec, "gemma3_270m"),
            (lines{"vocab: the file has 262145, gemma3_270m has 262144"}));
}

TEST(differences, in_depth_do_not_list_layers) {
  EXPECT_EQ(differences(gemma3_1b::spec, gemma3_270m::spec, "gemma3_270m"),
            (lines{"layers: the file has 26, gemma3_270m has 18", "width: the file has 1152, gemma3_270m has 640"}));
}

TEST(differences, in_several_layers_share_a_line) {
  model_spec file = gemma3_270m::spec;
  for (const int l : {0, 1, 2, 4, 7, 8}) file.layer[static_cast<std::size_t>(l)].keys = {255, 0};
  file.layer[5].hidden = 1024;
  EXPECT_EQ(differences(file, gemma3_270m::spec, "gemma3_270m"),
            (lines{"window of layers 0-2, 4 and 7-8: the file has 256 keys, gemma3_270m has 512 keys",
                   "feed-forward width of layer 5: the file has 1024, gemma3_270m has 2048"}));
}

TEST(differences, in_choices_read_as_words) {
  model_spec file = gemma4_e2b::spec;
  file.sees = visibility::images_on_local;
  file.tied_head = false;
  file.layer[4].rope.fraction = 0.5f;
  file.logit_cap = 0;
  EXPECT_EQ(
      differences(file, gemma4_e2b::spec, "gemma4_e2b"),
      (lines{
          "tied head: the file has no, gemma4_e2b has yes",
          "attention mask: the file has images see themselves in local layers, gemma4_e2b has causal",
          "soft cap of logits: the file has 0, gemma4_e2b has 30",
          "rope of layer 4: the file has theta 1e6, factor 1, fraction 0.5, gemma4_e2b has theta 1e6, factor 1, fraction 0.25"}));
}

/// Changes one field at a time; each must be noticed.
TEST(differences, in_any_single_field_are_noticed) {
  using change = void (*)(model_spec&);
  const change changes[] = {
      [](model_spec& m) { --m.layers; },
      [](model_spec& m) { ++m.width; },
      [](model_spec& m) { ++m.vocab; },
      [](model_spec& m) { m.norm_eps = 1e-5f; },
      [](model_spec& m) { m.one_plus_weight = !m.one_plus_weight; },
      [](model_spec& m) { m.tied_head = !m.tied_head; },
      [](model_spec& m) { m.query_scale = 0.5f; },
      [](model_spec& m) { m.score_cap = 50; },
      [](model_spec& m) { m.qk_norm = !m.qk_norm; },
      [](model_spec& m) { m.v_norm = !m.v_norm; },
      [](model_spec& m) { m.attention_bias = !m.attention_bias; },
      [](model_spec& m) { m.sees = visibility::images_everywhere; },
      [](model_spec& m) { --m.shared_layers; },
      [](model_spec& m) { ++m.experts; },
      [](model_spec& m) { ++m.experts_chosen; },
      [](model_spec& m) { ++m.expert_hidden; },
      [](model_spec& m) { ++m.per_layer_width; },
      [](model_spec& m) { ++m.per_layer_vocab; },
      [](model_spec& m) { ++m.altup_streams; },
      [](model_spec& m) { m.altup_output_scale = !m.altup_output_scale; },
      [](model_spec& m) { ++m.laurel_rank; },
      [](model_spec& m) { m.layer_scalar = !m.layer_scalar; },
      [](model_spec& m) { m.logit_cap = 20; },
      [](model_spec& m) { ++m.target_width; },
      [](model_spec& m) { ++m.clusters; },
      [](model_spec& m) { ++m.clusters_chosen; },
      [](model_spec& m) { m.layer[3].sees = reach::global; },
      [](model_spec& m) { m.layer[3].key_is_value = true; },
      [](model_spec& m) { ++m.layer[3].keys.back; },
      [](model_spec& m) { ++m.layer[3].keys.ahead; },
      [](model_spec& m) { ++m.layer[3].query_heads; },
      [](model_spec& m) { ++m.layer[3].key_value_heads; },
      [](model_spec& m) { m.layer[3].head_size += 2; },
      [](model_spec& m) { m.layer[3].rope.theta = 2e4f; },
      [](model_spec& m) { m.layer[3].rope.factor = 8; },
      [](model_spec& m) { m.layer[3].rope.fraction = 0.75f; },
      [](model_spec& m) { ++m.layer[3].hidden; },
      [](model_spec& m) { m.layer[3].sparsity = 0.5f; },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    model_spec file = gemma4_e2b::spec;
    changes[i](file);
    EXPECT_FALSE(differences(file, gemma4_e2b::spec).empty()) << "change " << i;
  }
}

TEST(differences, of_a_float_in_the_last_place_are_none) {
  model_spec file = gemma3_270m::spec;
  file.query_scale = std::nextafter(file.query_scale, 1.0f);
  EXPECT_EQ(differences(file, gemma3_270m::spec), lines{});
}

TEST(laxity, about_images_forgives_their_mask_but_no_encoder) {
  model_spec file = gemma3_4b::spec;
  file.sees = visibility::causal;
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b", {.images = true}), lines{});
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b").size(), 1u);
  file.sees = visibility::everything;
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b", {.images = true}).size(), 1u);
}

TEST(laxity, about_rows_forgives_a_few_missing_ones_only) {
  model_spec file = gemma3_4b::spec;
  file.vocab = 262'144;
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b", {.fewer_rows = true}), lines{});
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b").size(), 1u);
  file.vocab = 262'209;
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b", {.fewer_rows = true}).size(), 1u);
  file.vocab = 256'000;
  EXPECT_EQ(differences(file, gemma3_4b::spec, "gemma3_4b", {.fewer_rows = true}).size(), 1u);
}

TEST(nearest, variant_of_a_released_file_is_that_variant) {
  const auto check = []<class... V>(one_of<V...>) {
    const auto one = [](const model_spec& spec, std::string_view name) {
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
  const nearest_variant found = nearest<gemma3_270m, gemma4_31b, gemma4_e2b>(*file);
  EXPECT_EQ(found.name, "gemma4_31b");
  EXPECT_EQ(found.index, 1u);
  EXPECT_EQ(found.differences.front(), "layers: the file has 6, gemma4_31b has 60");
}

}  // namespace
}  // namespace g4::load
