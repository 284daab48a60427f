// The towers of a config.json: what is read, what is refused, and the types that are written of it.
#include "g4/load/tower_config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "g4/load/model_source.h"
#include "g4/load/tower_text.h"
#include "g4/variants/gemma4_12b.h"
#include "tests/load/configs.h"

namespace g4::load {
namespace {

constexpr const char* both =
    R"({"model_type": "gemma4_unified", "text_config": {}, "vision_config": {VISION}, "audio_config": {AUDIO}})";
std::string config(const std::string& vision = "", const std::string& audio = "") {
  return with(with(both, "VISION", vision), "AUDIO", audio);
}
std::string refusal_of(const std::string& text) {
  const auto towers = read_towers(text, "config.json");
  return towers ? "accepted" : towers.error().message;
}
tower_specs towers_of(const std::string& text) {
  const auto towers = read_towers(text, "config.json");
  EXPECT_TRUE(towers) << towers.error().message;
  return towers ? *towers : tower_specs{};
}

TEST(towers, of_the_12b_in_the_defaults) {
  const tower_specs t = towers_of(config());
  ASSERT_TRUE(t.sees && t.hears);
  EXPECT_TRUE(*t.sees == gemma4_patches::spec);
  EXPECT_TRUE(*t.hears == gemma4_frames::spec);
  EXPECT_EQ(t.soft_tokens, gemma4_12b::seeing::budget.most);
}

TEST(towers, of_a_small_model) {
  const tower_specs t =
      towers_of(config(R"("patch_size": 4, "mm_embed_dim": 40, "mm_posemb_size": 72, "output_proj_dims": 40,
                          "rms_norm_eps": 1e-5, "initializer_range": 0.02)",
                       R"("audio_embed_dim": 48, "hidden_size": 48)"));
  ASSERT_TRUE(t.sees && t.hears);
  EXPECT_EQ(t.sees->find<stage::any_aspect>()->side, 12);
  EXPECT_EQ(t.sees->find<stage::linear>()->width, 40);
  EXPECT_EQ(t.sees->find<stage::per_axis>()->places, 72);
  EXPECT_EQ(t.sees->find<stage::into_text>()->eps, 1e-5f);
  EXPECT_EQ(t.hears->find<stage::frames>()->samples, 48);
  EXPECT_EQ(t.soft_tokens, 70);  // no more have a place
}

TEST(towers, absent_where_the_file_has_none) {
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma4_unified", "text_config": {}})").any());
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma4_unified", "vision_config": null, "audio_config": null})").any());
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma3_text"})").any());
}

TEST(towers, refused_where_a_key_would_change_the_arithmetic) {
  EXPECT_EQ(refusal_of(config(R"("use_clipped_linears": true)")),
            "config.json: vision_config.use_clipped_linears is a key that g4 does not know; it may change the "
            "arithmetic, so the model is refused");
  EXPECT_EQ(refusal_of(config("", R"("conv_kernel_size": 5)")),
            "config.json: audio_config.conv_kernel_size is a key that g4 does not know; it may change the arithmetic, so "
            "the model is refused");
  EXPECT_EQ(refusal_of(config(R"("output_proj_dims": 64)")),
            "config.json: vision_config.output_proj_dims is not mm_embed_dim, 3840; the rows that are projected are "
            "those that were embedded");
  EXPECT_EQ(refusal_of(config(R"("model_patch_size": 40)")),
            "config.json: vision_config.model_patch_size is not patch_size times pooling_kernel_size, 48");
  EXPECT_EQ(refusal_of(config("", R"("audio_samples_per_token": 320)")),
            "config.json: audio_config.audio_samples_per_token is not audio_embed_dim, 640, which it is another name of");
  EXPECT_EQ(refusal_of(config(R"("model_type": "siglip_vision_model")")),
            "config.json: vision_config.model_type is \"siglip_vision_model\"; expected \"gemma4_unified_vision\"");
  EXPECT_EQ(refusal_of(config("", R"("model_type": "gemma4_audio")")),
            "config.json: audio_config.model_type is \"gemma4_audio\"; expected \"gemma4_unified_audio\"");
  EXPECT_EQ(refusal_of(config(R"("patch_size": 0)")),
            "config.json: vision_config.patch_size is 0; expected a whole number from 1 to 1024");
  EXPECT_EQ(refusal_of(config(R"("mm_posemb_size": "many")")),
            "config.json: vision_config.mm_posemb_size is \"many\"; expected a whole number from 1 to 1048576");
}

TEST(stage_text, as_a_variant_writes_it) {
  const auto written = [](const tower_spec& t) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < t.count; ++i) lines.push_back(stage_text(t.stages[i]));
    return lines;
  };
  EXPECT_EQ(written(gemma4_patches::spec),
            (std::vector<std::string>{"picture::any_aspect{.side = 48}", "patches{.side = 48}", "norm::layer",
                                      "embed::linear<width{3840}, biased>", "norm::layer", "positions::per_axis{1120}",
                                      "norm::layer", "into_text<norm::unweighted>"}));
  EXPECT_EQ(written(gemma4_frames::spec),
            (std::vector<std::string>{"sound::waveform{.rate = 16'000}", "frames{.samples = 640}",
                                      "into_text<norm::unweighted>"}));
  EXPECT_EQ(stage_text(stage::into_text{1e-5f}), "into_text<norm::unweighted_t{1e-5f}>");
  EXPECT_EQ(stage_text(stage::layer_norm{1e-6f}), "norm::layer_t{1e-6f}");
  EXPECT_EQ(stage_text(stage::linear{64, false}), "embed::linear<width{64}>");
}

TEST(tower_differences, stage_by_stage) {
  tower_spec file = gemma4_patches::spec;
  EXPECT_TRUE(differences(file, gemma4_patches::spec, "picture", "gemma4_12b").empty());
  file.stages[5] = stage::per_axis{1024};
  EXPECT_EQ(differences(file, gemma4_patches::spec, "picture", "gemma4_12b"),
            (std::vector<std::string>{"stage 6 of the picture tower: the file has positions::per_axis{1024}, gemma4_12b "
                                      "has positions::per_axis{1120}"}));
  file = gemma4_frames::spec;
  file.count = 2;
  EXPECT_EQ(differences(file, gemma4_frames::spec, "sound", "gemma4_12b"),
            (std::vector<std::string>{"stage 3 of the sound tower: the file has nothing, gemma4_12b has "
                                      "into_text<norm::unweighted>"}));
}

/// The text without blanks and comments: the released variants stand their own comments beside the stages.
std::string bare(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0) i = std::min(text.find('\n', i), text.size() - 1);
    if (text[i] != ' ' && text[i] != '\n') out += text[i];
  }
  return out;
}

TEST(model_source, of_the_12b_is_what_people_wrote) {
  const std::string text = bare(model_source(gemma4_12b::text::spec, towers_of(config()), "gemma4_12b"));
  std::string by_hand = bare(file_text("include/g4/variants/gemma4_12b.h"));
  for (const auto& [person, machine] : {std::pair{"gemma4_patches", "gemma4_12b_patches"},
                                        std::pair{"gemma4_frames", "gemma4_12b_frames"}}) {
    for (std::size_t at = 0; (at = by_hand.find(person, at)) != std::string::npos; at += 20) {
      by_hand.replace(at, std::string(person).size(), machine);
    }
  }
  EXPECT_EQ(text, by_hand);
}

TEST(model_source, of_a_text_alone_is_its_text) {
  EXPECT_EQ(model_source(gemma4_12b::text::spec, {}, "alone"), variant_source(gemma4_12b::text::spec, "alone"));
}

}  // namespace
}  // namespace g4::load
